"""Models in BenchMARL's interface."""
