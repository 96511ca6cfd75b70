"""From files to checked rows, and back."""
