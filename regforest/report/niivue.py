"""NiiVue, the viewer of the 3-D view, as the installed package `ipyniivue` (extra ``view``) brings it.

The widget of that package carries the whole library once more as one percent-encoded string, from which NiiVue
saves pages of its own. That string is what a page needs; it is read when a page is written, no part of regforest.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from urllib.parse import unquote

__all__ = ["Viewer", "installed_viewer"]

# the only string of this length that holds nothing but what encodeURIComponent leaves
_LIBRARY = re.compile(r'"((?:[\w\-.!~*\'()]|%[0-9A-F]{2}){500000,})"')


@dataclass(frozen=True)
class Viewer:
    """A JavaScript module that exports ``Niivue``, and what its licence asks to be shown.

    Attributes
    ----------
    code, licence : str
        Source of the module, and the notice.
    version : str
        Of the package that it comes from.
    """

    code: str
    licence: str
    version: str


@cache
def installed_viewer() -> Viewer | None:
    """Return NiiVue from the installed `ipyniivue`; None without it, or where it no longer brings the library."""
    try:
        files = metadata.files("ipyniivue") or []
    except metadata.PackageNotFoundError:
        return None
    widget = next((file for file in files if file.match("ipyniivue/static/widget.js")), None)
    licence = next((file for file in files if file.match("licenses/LICENSE*")), None)
    found = _LIBRARY.search(widget.read_text(encoding="utf-8")) if widget else None
    code = unquote(found[1]) if found else ""
    if licence is None or not re.search(r"export\s*\{[^}]*\bNiivue\b", code):
        return None
    return Viewer(code, licence.read_text(encoding="utf-8"), metadata.version("ipyniivue"))
