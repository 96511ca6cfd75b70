"""Bases: maps of class probabilities that are learnt before the search for corrections."""
