"""Units for bench: a network, a data set, a backend and a figure, each in a module that registers it."""
