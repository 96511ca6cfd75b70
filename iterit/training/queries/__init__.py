"""Queries: examples of what the model is to learn, and what records have in common with them."""
