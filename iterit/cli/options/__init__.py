"""The options that several commands of iterit share."""
