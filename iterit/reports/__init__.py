"""Reports a run of rounds in tables, as Markdown and as HTML."""
