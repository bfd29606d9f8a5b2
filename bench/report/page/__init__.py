"""All that a report shows, as one page of HTML, and most of it as one Markdown document."""
