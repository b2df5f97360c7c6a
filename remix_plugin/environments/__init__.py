"""TorchRL environments and their BenchMARL tasks."""
