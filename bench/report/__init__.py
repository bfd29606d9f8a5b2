"""Tables, figures and the page, drawn from stored records alone. Never imports torch."""
