"""BenchMARL callbacks that run beside training."""
