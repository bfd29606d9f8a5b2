"""Tables: what is shown, and how it is written in each form."""
