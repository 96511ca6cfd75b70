"""From prompts to log-probabilities: the engine that both packages stand on."""
