"""Settings that make sense: of the right kind, finite, and within limits that keep memory and time bounded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from numbers import Integral, Real
from typing import Any

__all__ = ["check_limits", "checked_seed"]

_MAX_VALUES = 32  # of a setting that is a tuple
_MAX_SEED = 2**63 - 1


def check_limits(settings: Any, limits: Mapping[str, tuple[float, float]]) -> None:
    """Raise `ValueError` unless the fields of a settings dataclass are numbers of their kind within limits.

    Parameters
    ----------
    settings : dataclass
        Fields of the types ``int``, ``float`` or ``tuple`` of floats, as annotated.
    limits : mapping of str to (float, float)
        Field -> smallest and largest value that is allowed. Not a number is outside of all limits.

    Examples
    --------
    >>> from dataclasses import make_dataclass
    >>> check_limits(make_dataclass("Some", [("trees", "int")])(0), {"trees": (1, 100)})
    Traceback (most recent call last):
    ...
    ValueError: trees must be a whole number from 1 to 100, got 0
    """
    kinds = {item.name: str(item.type) for item in fields(settings)}
    for name, (low, high) in limits.items():
        kind, value = kinds[name], getattr(settings, name)
        if not _fits(value, kind, low, high):
            whole = "a whole number" if kind == "int" else "numbers" if kind.startswith("tuple") else "a number"
            raise ValueError(f"{name} must be {whole} from {low:g} to {high:g}, got {value!r}")


def checked_seed(value: Any) -> int:
    """Return a seed as it is; raises `ValueError` unless it is a whole number of at most 63 bits, not negative."""
    if not _fits(value, "int", 0, _MAX_SEED):
        raise ValueError(f"seed must be a whole number from 0 to {_MAX_SEED}, got {value!r}")
    return int(value)


def _fits(value: Any, kind: str, low: float, high: float) -> bool:
    if not kind.startswith("tuple"):
        number: Any = Integral if kind == "int" else Real
        return isinstance(value, number) and not isinstance(value, bool) and bool(low <= value <= high)
    count = range(1, _MAX_VALUES + 1) if "..." in kind else [kind.count("float")]
    return isinstance(value, tuple) and len(value) in count and all(_fits(n, "float", low, high) for n in value)
