"""Reads rows of any kind from files of any kind, within bounds; what a row means is up to others."""
