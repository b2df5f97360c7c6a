"""TorchRL losses."""
