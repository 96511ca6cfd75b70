"""Searches that find good choices and prove nothing: descents, local search, annealing."""
