"""Checkpoints of a training run: written whole, found again, checked."""
