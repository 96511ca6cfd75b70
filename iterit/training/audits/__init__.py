"""Measures what picks of any tool teach a model, against random picks of the same lengths."""
