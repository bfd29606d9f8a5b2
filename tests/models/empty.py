"""Defines no network."""
