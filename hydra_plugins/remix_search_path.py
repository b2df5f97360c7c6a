"""Lets BenchMARL's Hydra applications find the plugin's configs.

Hydra imports every module of the namespace package ``hydra_plugins`` in every Hydra
application, so this one imports nothing heavy and acts in BenchMARL alone.
"""

from __future__ import annotations

import sys
from pathlib import Path
from urllib.parse import unquote, urlparse

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin


class RemixSearchPath(SearchPathPlugin):
    """Appends ``benchmarl_configs`` and registers the plugin, in BenchMARL only."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Called by Hydra before it composes a config."""
        main = [e.path for e in search_path.get_path() if e.provider == "main"]
        if not any(_is_benchmarl_conf(path) for path in main):
            return
        import remix_plugin
        from remix_plugin.starcraft.hints import stop_or_warn

        remix_plugin.register()
        # Hydra hands plugins no overrides, and BenchMARL builds its own StarCraft tasks
        # before anything of ours: this is the one place to explain what they lack.
        stop_or_warn(sys.argv[1:])
        search_path.append("remix_plugin", "pkg://benchmarl_configs")


def _is_benchmarl_conf(path: str | None) -> bool:
    """Whether a primary config directory is BenchMARL's ``conf``.

    It is a package where BenchMARL is run as a module, and a folder, of a checkout
    perhaps, where ``run.py`` is started by its path.
    """
    if path is None:
        return False
    if path.startswith("pkg://"):
        return path.removeprefix("pkg://") == "benchmarl.conf"
    folder = Path(unquote(urlparse(path).path) if path.startswith("file:") else path)
    return (
        folder.name == "conf"
        and folder.parent.name == "benchmarl"
        and (folder.parent / "hydra_config.py").is_file()
    )
