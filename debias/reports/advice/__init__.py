"""Advice to who decides: whether to use a correction, and whether a plain method does as well."""
