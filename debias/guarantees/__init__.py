"""Guarantees: what holds on rows to come, with a stated confidence."""
