"""Predator-Prey: catch prey together or be punished."""
