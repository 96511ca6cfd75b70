"""What the reports of both packages are written with: Markdown, and the style of HTML pages."""
