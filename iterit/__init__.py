"""Pick, round by round, the instructions that teach a model most (to come: see the README)."""

__version__ = "0.1.0"
