"""Asking servers that speak OpenAI's protocol: connection, pace, spending, and what answers mean."""
