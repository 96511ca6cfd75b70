"""Puts rounds into a trainer of transformers: scores, checkpoints, several processes."""
