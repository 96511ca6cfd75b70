"""Windows that hold every row that could be among the hardest, by how far scores moved before."""
