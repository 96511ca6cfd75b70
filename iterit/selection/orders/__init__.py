"""Orders of picks where no pick changes what the other rows are worth."""
