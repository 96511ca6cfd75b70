"""Bases: maps from class probabilities to the posteriors that corrections are applied to."""
