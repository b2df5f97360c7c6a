"""SMAX: StarCraft-like battles in JAX, from JaxMARL, with no StarCraft installed."""
