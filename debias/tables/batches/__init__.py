"""Tables read a batch of rows at a time."""
