"""One number compared with many at once; what holds is counted as the bits of a word.

As in `features._lanes`, the plain functions are what runs where compilation is switched off.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload
from numpy.typing import NDArray

from regforest.features._lanes import in_all_lanes, load_lanes

LIMITS = 16
"""Numbers that `count_below` looks at."""
FEW = 64
"""Codes that `place_among` looks at. An array needs as many spare ones behind it: they are read, not used."""

_FLOATS, _CODES = ir.VectorType(ir.FloatType(), LIMITS), ir.VectorType(ir.IntType(8), FEW)
_WORD = ir.IntType(64)


def count_below(numbers: NDArray[np.float32], first: int, limit: np.float32) -> int:
    """Count which of the `LIMITS` numbers from the first on are below a limit."""
    return int(np.count_nonzero(numbers[first : first + LIMITS] < limit))


def place_among(codes: NDArray[np.uint8], i: int) -> int:
    """Place of the i-th of at most `FEW` codes in ascending order; of equal ones the first goes first."""
    return int(np.count_nonzero(codes < codes[i]) + np.count_nonzero(codes[:i] == codes[i]))


@intrinsic  # type: ignore[untyped-decorator]
def _count_below(context: Any, numbers: Any, first: Any, limit: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        numbers = context.make_array(signature.args[0])(context, builder, arguments[0])
        found = load_lanes(builder, builder.gep(numbers.data, [arguments[1]]), _FLOATS, 4)
        below = builder.fcmp_ordered("<", found, in_all_lanes(builder, arguments[2], _FLOATS))
        return builder.zext(builder.ctpop(builder.bitcast(below, ir.IntType(LIMITS))), _WORD)

    return types.int64(numbers, types.int64, types.float32), generate


@intrinsic  # type: ignore[untyped-decorator]
def _place_among(context: Any, codes: Any, i: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        codes = context.make_array(signature.args[0])(context, builder, arguments[0])
        found = load_lanes(builder, codes.data, _CODES, 1)
        code = in_all_lanes(builder, builder.load(builder.gep(codes.data, [arguments[1]])), _CODES)
        lower, equal = (builder.bitcast(builder.icmp_unsigned(sign, found, code), _WORD) for sign in ("<", "=="))
        used = builder.lshr(_WORD(-1), builder.sub(_WORD(FEW), codes.nitems))
        before = builder.sub(builder.shl(_WORD(1), arguments[1]), _WORD(1))
        return builder.add(builder.ctpop(builder.and_(lower, used)), builder.ctpop(builder.and_(equal, before)))

    return types.int64(codes, types.int64), generate


# the compiler compares the signatures of both functions, annotations included: lambdas have none
overload(count_below, inline="always")(
    lambda numbers, first, limit: lambda numbers, first, limit: _count_below(numbers, first, limit)
)
overload(place_among, inline="always")(lambda codes, i: lambda codes, i: _place_among(codes, i))
