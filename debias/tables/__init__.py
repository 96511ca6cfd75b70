"""Probability tables: what they hold, what is checked, how they are split, and their file formats."""
