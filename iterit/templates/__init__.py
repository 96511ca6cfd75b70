"""Turns records into the text and the tokens that are scored and trained."""
