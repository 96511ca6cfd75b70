"""Drills: each file does one kind of harm to commands that run, and compares what they leave."""
