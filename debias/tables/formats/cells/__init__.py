"""Cells of text: a file is decoded, and its cells become numbers."""
