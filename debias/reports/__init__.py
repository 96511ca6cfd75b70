"""What a correction did, as DataFrames, Markdown, plots and one HTML page."""
