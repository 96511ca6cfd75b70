"""Branch and bound over boxes of corrections that act alike."""
