"""A program as a process: how it starts, what stops it, how it ends."""
