"""Searches that prove: branch and bound over bit tables, and radius certificates."""
