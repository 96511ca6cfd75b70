"""The engine that runs a model with transformers."""
