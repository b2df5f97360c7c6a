"""ReMIX's weighting with the defaults of its YAML."""

from __future__ import annotations

from typing import Any

from remix_plugin.configs import config_path, read_options
from remix_plugin.weighting.remix import OPTIONS, RemixWeighting

DEFAULTS = read_options(config_path("algorithm", "remix"))


def remix_weighting(**options: Any) -> RemixWeighting:
    """The weighting with some options changed."""
    return RemixWeighting(**{**{name: DEFAULTS[name] for name in OPTIONS}, **options})
