"""Asking an engine about answers, and keeping what it said."""
