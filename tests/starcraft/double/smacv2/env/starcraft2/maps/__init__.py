"""Parameters of the maps."""

from __future__ import annotations

from typing import Any

from smacv2.env.starcraft2.maps.smac_maps import get_smac_map_registry


def get_map_params(map_name: str) -> dict[str, Any]:
    """Parameters of a map.

    Raises:
        KeyError: if there is no such map.
    """
    return get_smac_map_registry()[map_name]
