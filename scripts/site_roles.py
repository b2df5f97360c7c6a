"""A hook of MkDocs: what docstrings name by Sphinx's roles is shown as its name."""

import re
from typing import Any

ROLE = re.compile(r":(?:class|func|meth|mod|attr):<code>~?([\w.]+)</code>")


def on_page_content(html: str, **kwargs: Any) -> str:
    """Show ``:class:`~.base.TeamLoss``` as ``TeamLoss``."""
    return ROLE.sub(lambda role: f"<code>{role[1].split('.')[-1]}</code>", html)
