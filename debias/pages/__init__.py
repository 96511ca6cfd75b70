"""Safe text, Markdown and the style of HTML pages, shared by the reports of both packages."""
