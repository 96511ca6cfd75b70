"""Counting what choices do: pairwise wins as bits, sweeps, and the compiled loops under them."""
