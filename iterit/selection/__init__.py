"""The searches that pick rows, and what they are given."""
