"""Says how many rows of each source and of each stratum of lengths are picked, and whether a pick fits."""
