"""Parts of a collection that machines make on their own, and their merging into one table."""
