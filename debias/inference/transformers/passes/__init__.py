"""Forward passes through a model that transformers loaded."""
