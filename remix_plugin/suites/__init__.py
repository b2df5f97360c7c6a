"""Suites: many runs from one file, to their end."""
