"""Probabilities from votes: sampled answers, matched with labels, counted and smoothed."""
