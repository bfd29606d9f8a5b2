"""All that a report shows, as one page of HTML and as one Markdown document."""
