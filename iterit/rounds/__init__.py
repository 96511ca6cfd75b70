"""Plans rounds as pure functions: which rows to score, what was picked, what is known so far."""
