"""Forward passes through a model that transformers loaded: what is packed, shared and left out."""
