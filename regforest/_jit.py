"""The one place that holds the options for compiled kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])


def kernel(function: F) -> F:
    """Compile a kernel: arrays in, arrays out.

    ``nogil`` lets joblib run kernels in threads; ``cache`` keeps the machine code between runs (compile in one
    process first: several that compile at once can damage the cache). ``fastmath`` stays off because it would let
    the same seed give other numbers on another machine; ``error_model="numpy"`` drops the check for division by
    zero that keeps loops from being vectorised.
    """
    return cast(F, numba.njit(nogil=True, cache=True, error_model="numpy")(function))
