"""Decides which label is which column, once for a whole file or array."""
