"""One-step games of common payoff."""
