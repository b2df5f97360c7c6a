"""Networks beyond those of TorchRL."""
