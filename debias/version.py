"""The version of this distribution, in a file that anything may import."""

__version__ = "0.1.0"
