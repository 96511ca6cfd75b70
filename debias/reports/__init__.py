"""Reports on a correction as DataFrames, Markdown, plots and one HTML page."""
