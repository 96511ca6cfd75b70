"""What a run of rounds did, as DataFrames, Markdown and one HTML page."""
