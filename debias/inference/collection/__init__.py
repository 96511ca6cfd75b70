"""Collection that survives: rows, prompts, answers, and the folder that keeps them."""
