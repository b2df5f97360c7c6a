"""How much each transition counts in the projection."""
