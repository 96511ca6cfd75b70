"""Metrics of a classifier from confusion counts, with confidence intervals."""
