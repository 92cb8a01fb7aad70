"""A case for the measurement of peak memory that imports next to nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def allocate(scale: object, megabytes: str) -> Callable[[], Any]:
    return lambda: np.ones(int(megabytes) * 125_000).sum()
