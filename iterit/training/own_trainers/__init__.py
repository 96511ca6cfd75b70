"""Refuses trainers of a user with which rounds go wrong, and gives the others their records."""
