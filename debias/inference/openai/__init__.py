"""Asks servers that speak the OpenAI protocol."""
