"""Aggregates of the scores of runs, how sure they are, and comparisons."""
