"""Shows results in notebooks and on pages: plots in colours of the page, and short cards."""
