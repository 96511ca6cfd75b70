"""Reads instruction records from files, checks every row, and writes them again."""
