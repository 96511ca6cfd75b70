"""Files that are whole or absent, and folders that one process has at a time."""
