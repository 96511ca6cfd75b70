"""Selects rows by complexity and diversity: modes, quotas, duplicates, embeddings."""
