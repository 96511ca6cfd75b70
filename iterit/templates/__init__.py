"""From records to the text and the tokens that are scored and trained."""
