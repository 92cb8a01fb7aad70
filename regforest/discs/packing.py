"""Learned parts (frozen dataclasses of arrays, numbers, names and parts) taken apart for a model file and rebuilt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["pack", "rounded", "unpack"]

_ROUNDED = ("rows", "offsets_mm", "prior")  # what fills a model file


def pack(prefix: str, part: Any, arrays: dict[str, NDArray[Any]]) -> dict[str, Any]:
    """Put the arrays of a part into `arrays` as ``prefix.field``; return its kind and other fields as plain JSON."""
    plain: dict[str, Any] = {"kind": type(part).__name__}
    for item in fields(part):
        value = getattr(part, item.name)
        if is_dataclass(value):
            plain[item.name] = pack(f"{prefix}.{item.name}", value, arrays)
        elif isinstance(value, np.ndarray):
            arrays[f"{prefix}.{item.name}"] = value
        else:
            plain[item.name] = list(value) if isinstance(value, tuple) else value
    return plain


def unpack(
    prefix: str, plain: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], kinds: Mapping[str, type[Any]]
) -> Any:
    """Rebuild what `pack` took apart; a missing array, field or kind raises `KeyError`.

    A field with a default may be missing: files of earlier versions do not hold it.
    """
    made: dict[str, Any] = {}
    kind = kinds[plain["kind"]]
    for item in fields(kind):
        value = plain.get(item.name)
        if isinstance(value, Mapping):
            made[item.name] = unpack(f"{prefix}.{item.name}", value, arrays, kinds)
        elif item.name in plain:
            made[item.name] = tuple(value) if isinstance(value, list) else value
        elif f"{prefix}.{item.name}" in arrays or item.default is MISSING:
            made[item.name] = arrays[f"{prefix}.{item.name}"]
    return kind(**made)


def rounded(part: Any) -> Any:
    """Return a part whose training rows, their displacements and masks hold 11 bits, which pack to about half."""
    changed: dict[str, Any] = {}
    for item in fields(part):
        value = getattr(part, item.name)
        if is_dataclass(value):
            changed[item.name] = rounded(value)
        elif item.name in _ROUNDED:
            changed[item.name] = value.astype(np.float16).astype(value.dtype)
    return replace(part, **changed)
