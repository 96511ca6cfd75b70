"""Shared by both command lines: errors in one line, tables on the terminal, progress, checks of output files."""
