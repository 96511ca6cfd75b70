"""Guarantees: what holds on new rows, with a stated confidence."""
