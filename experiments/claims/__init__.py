"""Parts that the experiments on the papers' claims share."""
