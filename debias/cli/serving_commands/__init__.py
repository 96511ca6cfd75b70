"""Commands that take a saved correction to where a model is served."""
