"""Files that name records of a pool, such as those that another tool picked."""
