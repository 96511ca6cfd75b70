"""Requests to a server: connection, rate limit, budget, and reading answers."""
