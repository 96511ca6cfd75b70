"""Choosing objective weights and families by cross-validation."""
