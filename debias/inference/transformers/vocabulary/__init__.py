"""Reading the vocabulary: matrix products with the output embeddings."""
