"""The search over continuous log-biases."""
