"""Trains on records by forward passes alone, in a Trainer of transformers and in its rounds."""
