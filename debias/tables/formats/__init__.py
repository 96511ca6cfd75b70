"""Probability tables as files: one file here per format, :mod:`.files` chooses among them."""
