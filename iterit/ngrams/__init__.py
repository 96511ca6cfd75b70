"""Counts and weighs the word n-grams of texts, exactly and in threads."""
