"""Sixteen rows compared with a query at once.

Written in the compiler's own terms like `regforest.features._lanes`, and for the same reason. The plain function is
what runs, and what is tested, where compilation is switched off.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload
from numpy.typing import NDArray

from regforest.features._lanes import in_all_lanes, load_lanes

LANES = 16
"""Rows side by side."""

CHUNK = 8
"""Columns that are added up at once."""

_WORD, _FLOATS = ir.IntType(64), ir.VectorType(ir.FloatType(), LANES)


def add_squares(
    columns: NDArray[np.float32],
    start: int,
    query: NDArray[np.float32],
    first: int,
    distance: NDArray[np.float32],
    limit: float,
) -> np.uint64:
    """Add the squared differences of `CHUNK` columns to the distances of `LANES` rows.

    Parameters
    ----------
    columns : ndarray, shape (N,)
        Numbers of the rows, column after column, `LANES` numbers each; the chunk begins at `start`.
    query : ndarray, shape (C,)
        Numbers of the query; the chunk begins at `first`.
    distance : ndarray, shape (LANES,)
        Is added to.
    limit : float
        Distance that counts as far.

    Returns
    -------
    uint64
        Bit i: whether the distance of row i is below the limit.
    """
    here = columns[start : start + CHUNK * LANES].reshape(CHUNK, LANES)
    apart = (here - query[first : first + CHUNK, None]) ** 2
    total = [apart[i] + apart[i + 1] for i in range(0, CHUNK, 2)]
    distance += (total[0] + total[1]) + (total[2] + total[3])
    return np.uint64(sum(1 << i for i in range(LANES) if distance[i] < limit))


@intrinsic  # type: ignore[untyped-decorator]
def _add_squares(context: Any, columns: Any, start: Any, query: Any, first: Any, distance: Any, limit: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        columns, query, distance = (
            context.make_array(signature.args[i])(context, builder, arguments[i]).data for i in (0, 2, 4)
        )
        here, wanted = builder.gep(columns, [arguments[1]]), builder.gep(query, [arguments[3]])
        total = [_squares(builder, here, wanted, i) for i in range(CHUNK)]
        while len(total) > 1:
            total = [builder.fadd(a, b) for a, b in zip(total[::2], total[1::2], strict=True)]
        out = builder.bitcast(distance, _FLOATS.as_pointer())
        added = builder.fadd(load_lanes(builder, distance, _FLOATS, align=4), total[0])
        builder.store(added, out).align = 4
        below = builder.fcmp_ordered("<", added, in_all_lanes(builder, arguments[5], _FLOATS))
        return builder.zext(builder.bitcast(below, ir.IntType(LANES)), _WORD)

    arguments = (columns, types.int64, query, types.int64, distance, types.float32)
    return types.uint64(*arguments), generate


def _squares(builder: Any, here: Any, wanted: Any, column: int) -> Any:
    """Emit the squared differences of one column."""
    rows = load_lanes(builder, builder.gep(here, [_WORD(column * LANES)]), _FLOATS, align=4)
    number = builder.load(builder.gep(wanted, [_WORD(column)]))
    apart = builder.fsub(rows, in_all_lanes(builder, number, _FLOATS))
    return builder.fmul(apart, apart)


# the compiler compares the signatures of both functions, annotations included: lambdas have none
overload(add_squares, inline="always")(
    lambda columns, start, query, first, distance, limit: (
        lambda columns, start, query, first, distance, limit: _add_squares(
            columns, start, query, first, distance, limit
        )
    )
)
