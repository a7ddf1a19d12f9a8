"""From cells, run records and costs to tables as csv, Markdown, LaTeX and HTML."""
