"""Tasks, the sources of their texts, and demonstrations."""
