"""Packs the picks of a round into sequences that are full, each record apart from the others."""
