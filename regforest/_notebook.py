"""How a value is shown in a notebook, without its module knowing who draws.

`Shown` gives a class the method that notebooks ask for; `picture` is where `regforest.report` registers what is drawn
for which class; `regforest` itself says with `drawn_by` which module to import for that, at the first picture.
"""

from __future__ import annotations

from functools import singledispatch
from importlib import import_module

__all__ = ["Shown", "drawn_by", "picture"]

_painters: list[str] = []


@singledispatch
def picture(value: object) -> str | None:
    """Return HTML that shows a value, or None where nothing is registered for its class."""
    return None


def drawn_by(module: str) -> None:
    """Name a module that registers pictures when it is imported; that happens at the first picture."""
    _painters.append(module)


class Shown:
    """Mixin for values that notebooks show as a picture."""

    def _repr_html_(self) -> str | None:
        """Return HTML for IPython; None, which means the plain text, where nothing is registered."""
        while _painters:
            import_module(_painters.pop())
        return picture(self)
