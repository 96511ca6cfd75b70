"""Tests of the room with its name."""
