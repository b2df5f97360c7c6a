"""Modules of the same names as in the real package."""
