"""Rounds on a pruned model: the whole one scores, or is compared with it."""
