"""What a run of rounds is set to do, what it remembers, and which rows it scores next."""
