"""The errors of a lost game, named as in ``pysc2.lib.protocol``."""

from __future__ import annotations


class ConnectionError(Exception):
    """The game cannot be reached."""


class ProtocolError(Exception):
    """The game answered with an error."""
