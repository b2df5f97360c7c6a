"""A double of the package ``smacv2`` that fights small battles without StarCraft II.

It has the interface of the real package (its newest commit, of 2024), the same sizes
of observations, states and actions, and the same quirks, which
:mod:`smacv2.quirks` switches. :mod:`smacv2.log` records launched and closed games.
"""
