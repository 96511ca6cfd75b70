"""Few labels: shrinkage towards the identity, and what to expect of new rows."""
