"""A run of rounds inside a trainer: its driver, its sampler, its checkpoints."""
