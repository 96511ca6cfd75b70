"""From texts to numbered words and n-grams."""
