"""A forward pass of its own for Llama-like models on CPUs."""
