"""The commands that ask a model, or merge what it answered."""
