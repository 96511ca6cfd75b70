"""A small model scores the first round in place of the one that is trained."""
