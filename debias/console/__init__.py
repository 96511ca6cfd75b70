"""Shared by both command lines: one-line errors, tables on the terminal, progress, checks of output files."""
