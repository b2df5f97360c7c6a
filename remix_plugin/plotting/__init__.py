"""From result files to figures and tables."""
