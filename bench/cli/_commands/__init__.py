"""The commands: one module each, with what it takes, does and prints."""
