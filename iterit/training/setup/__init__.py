"""Settings of training, and the trainer that `iterit train` makes of them."""
