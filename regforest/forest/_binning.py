"""Compiled kernels that turn feature columns into 8-bit codes."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload
from numpy.typing import NDArray

from regforest._jit import kernel

_LANES = 16
_VECTOR = ir.VectorType(ir.FloatType(), _LANES)


@kernel
def find_edges(columns: NDArray[np.float32], edges: NDArray[np.float32]) -> None:
    """Bin edges from sorted samples, columns[feature, sample]; unused edges, and the last, stay infinite.

    Where there are more distinct values than bins, an edge is set where another 1/bins of the samples has passed;
    runs of equal values are never cut. An edge lies midway between two values, below the upper one.
    """
    samples = columns.shape[1]
    bins = edges.shape[1]
    for f in range(columns.shape[0]):
        values = columns[f]
        distinct = 1
        for i in range(1, samples):
            distinct += values[i] != values[i - 1]
        wanted = 1 if distinct <= bins else samples // bins + 1
        used, last = 0, 0
        for i in range(1, samples):
            if values[i] != values[i - 1] and i - last >= wanted and used < bins - 1:
                middle = values[i - 1] + (values[i] - values[i - 1]) / np.float32(2)
                edges[f, used] = middle if values[i - 1] <= middle < values[i] else values[i - 1]
                used += 1
                last = i


@kernel
def encode(rows: NDArray[np.float32], edges: NDArray[np.float32], codes: NDArray[np.uint8]) -> None:
    """Count the edges below each value, codes[row, feature]: every sixteenth edge first, then those in between."""
    sixteenth = np.ascontiguousarray(edges[:, _LANES - 1 :: _LANES])
    for i in range(rows.shape[0]):
        for f in range(rows.shape[1]):
            first = _LANES * count_below(sixteenth[f], 0, rows[i, f])
            codes[i, f] = first + count_below(edges[f], first, rows[i, f])


def count_below(numbers: NDArray[np.float32], first: int, limit: np.float32) -> int:
    """Count which of the sixteen numbers from the first on are below a limit."""
    return int(np.count_nonzero(numbers[first : first + _LANES] < limit))


@intrinsic  # type: ignore[untyped-decorator]
def _count_below(context: Any, numbers: Any, first: Any, limit: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        numbers = context.make_array(signature.args[0])(context, builder, arguments[0])
        chunk = builder.load(builder.bitcast(builder.gep(numbers.data, [arguments[1]]), _VECTOR.as_pointer()))
        chunk.align = 4
        undefined = ir.Constant(_VECTOR, ir.Undefined)
        limits = builder.insert_element(undefined, arguments[2], ir.IntType(32)(0))
        limits = builder.shuffle_vector(limits, undefined, ir.Constant(ir.VectorType(ir.IntType(32), _LANES), None))
        found = builder.bitcast(builder.fcmp_ordered("<", chunk, limits), ir.IntType(_LANES))
        return builder.zext(builder.ctpop(found), ir.IntType(64))

    return types.int64(numbers, types.int64, types.float32), generate


overload(count_below, inline="always")(
    lambda numbers, first, limit: lambda numbers, first, limit: _count_below(numbers, first, limit)
)
