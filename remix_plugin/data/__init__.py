"""Replay-buffer samplers and transforms."""
