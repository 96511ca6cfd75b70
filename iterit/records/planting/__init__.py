"""Puts records of known worth into a copy of a pool, to see whether picks avoid them."""
