"""Prints tables and reports on the terminal."""
