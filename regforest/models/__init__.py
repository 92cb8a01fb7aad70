"""Models that come with the package: ``<name>.rfm`` in this folder."""

from __future__ import annotations

import difflib
from pathlib import Path

from regforest.errors import UsageError

__all__ = ["built_in_models", "model_file"]

_FOLDER = Path(__file__).resolve().parent


def built_in_models() -> dict[str, Path]:
    """Return the models of this installation: name -> file, sorted by name.

    Examples
    --------
    >>> all(path.suffix == ".rfm" for path in built_in_models().values())
    True
    """
    return {path.stem: path for path in sorted(_FOLDER.glob("*.rfm"))}


def model_file(model: str | Path) -> Path:
    """Return the file of a model that is given by its path, or by its name if it is built in.

    Parameters
    ----------
    model : str or Path
        A file, or a key of `built_in_models`; a file wins.

    Raises
    ------
    UsageError
        If it is neither; the message suggests the nearest name.

    Examples
    --------
    >>> model_file("ct-phantm")
    Traceback (most recent call last):
        ...
    regforest.errors.UsageError: there is no model file and no built-in model 'ct-phantm'...
    """
    if Path(model).is_file():
        return Path(model)
    known = built_in_models()
    if str(model) in known:
        return known[str(model)]
    close = difflib.get_close_matches(str(model), known, n=1, cutoff=0.5)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise UsageError(
        f"there is no model file and no built-in model {str(model)!r}{hint} (built in: {', '.join(known) or 'none'})"
    )
