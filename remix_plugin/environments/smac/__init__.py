"""SMAC, the StarCraft Multi-Agent Challenge; needs StarCraft II."""
