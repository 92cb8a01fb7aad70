"""Learned parts (frozen dataclasses of arrays, numbers and names) taken apart for a model file, and put together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regforest.discs.patches import Projection

__all__ = ["pack", "unpack"]


def pack(prefix: str, part: Any, arrays: dict[str, NDArray[Any]]) -> dict[str, Any]:
    """Put the arrays of a part into `arrays` as ``prefix.field`` and return its other fields as plain JSON."""
    plain: dict[str, Any] = {}
    for item in fields(part):
        value = getattr(part, item.name)
        if isinstance(value, Projection):
            pack(f"{prefix}.{item.name}", value, arrays)
        elif isinstance(value, np.ndarray):
            arrays[f"{prefix}.{item.name}"] = value
        else:
            plain[item.name] = list(value) if isinstance(value, tuple) else value
    return plain


def unpack(prefix: str, kind: type[Any], plain: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Any:
    """Rebuild what `pack` took apart; a missing array or field raises `KeyError`."""
    made: dict[str, Any] = {}
    for item in fields(kind):
        if item.type == "Projection":
            made[item.name] = unpack(f"{prefix}.{item.name}", Projection, {}, arrays)
        elif item.name in plain:
            value = plain[item.name]
            made[item.name] = tuple(value) if isinstance(value, list) else value
        else:
            made[item.name] = arrays[f"{prefix}.{item.name}"]
    return kind(**made)
