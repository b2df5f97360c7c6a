"""BenchMARL algorithms and their configs."""
