"""BenchMARL's experiment options: their ranges, and the packages that they need."""
