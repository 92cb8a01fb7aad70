"""Sums over the outputs of a forest, eight at once; arrays are padded with zeros to a multiple of eight.

The order of the additions is fixed, so that a seed gives one forest whatever the machine. A compiler that must keep
the order of a plain loop would add one number after the other. As in `features._lanes`, the plain functions are what
runs where compilation is switched off.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload
from numpy.typing import NDArray

from regforest._jit import kernel
from regforest.features._lanes import LANES, in_all_lanes, load_lanes

_LANE, _INDEX, _VECTOR = ir.IntType(32), ir.IntType(64), ir.VectorType(ir.DoubleType(), LANES)
_ZEROS = ir.Constant(_VECTOR, [0.0] * LANES)


@kernel
def padded(outputs: int) -> int:
    """Return the next multiple of eight."""
    return (outputs + LANES - 1) // LANES * LANES


@kernel
def aligned_zeros(size: int) -> NDArray[np.float64]:
    """Return zeros from a multiple of 64 bytes on: vectors that cross one are written and read again far slower."""
    room = np.zeros(size + LANES, np.float64)
    first = -(room.ctypes.data // room.itemsize) % LANES
    return room[first : first + size]


def add_weighted(target: NDArray[np.float64], source: NDArray[np.floating[Any]], weight: float) -> None:
    """Add ``weight * source`` to the target in place."""
    target += weight * source.astype(np.float64)


def add_up(rows: NDArray[np.float64], first: int, last: int) -> None:
    """Turn rows first .. last - 1 into their running sums in place."""
    rows[first:last] = np.cumsum(rows[first:last], axis=0)


def split_squares(left: NDArray[np.float64], totals: NDArray[np.float64]) -> tuple[float, float]:
    """Sum up the squares of ``left`` and those of ``totals - left``."""
    sums = np.zeros((2, LANES))
    for start in range(0, left.size, LANES):
        chunk = np.stack([left[start : start + LANES], (totals - left)[start : start + LANES]])
        sums += chunk * chunk
    for half in (4, 2, 1):
        sums = sums[:, :half] + sums[:, half:]
    return float(sums[0, 0]), float(sums[1, 0])


@intrinsic  # type: ignore[untyped-decorator]
def _add_weighted(context: Any, target: Any, source: Any, weight: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        target = context.make_array(signature.args[0])(context, builder, arguments[0])
        source = context.make_array(signature.args[1])(context, builder, arguments[1])
        weights = in_all_lanes(builder, arguments[2], _VECTOR)
        with cgutils.for_range(builder, _chunks(builder, target)) as loop:
            added = _load(builder, source.data, loop.index, signature.args[1].dtype)
            place = _place(builder, target.data, loop.index, _VECTOR)
            found = load_lanes(builder, place, _VECTOR, align=8)
            builder.store(builder.fadd(found, builder.fmul(weights, added)), place).align = 8
        return context.get_dummy_value()

    return types.void(target, source, types.float64), generate


@intrinsic  # type: ignore[untyped-decorator]
def _add_up(context: Any, rows: Any, first: Any, last: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        rows = context.make_array(signature.args[0])(context, builder, arguments[0])
        chunks = builder.sdiv(cgutils.unpack_tuple(builder, rows.shape)[1], ir.Constant(_INDEX, LANES))
        with cgutils.for_range(builder, chunks) as column:
            total = cgutils.alloca_once_value(builder, _ZEROS)
            builder.store(_ZEROS, total)
            with cgutils.for_range_slice(builder, *arguments[1:], _INDEX(1)) as (row, _):
                chunk = builder.add(builder.mul(row, chunks), column.index)
                more = builder.fadd(builder.load(total), _load(builder, rows.data, chunk, types.float64))
                builder.store(more, total)
                builder.store(more, _place(builder, rows.data, chunk, _VECTOR)).align = 8
        return context.get_dummy_value()

    return types.void(rows, types.int64, types.int64), generate


@intrinsic  # type: ignore[untyped-decorator]
def _split_squares(context: Any, left: Any, totals: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        left, totals = (
            context.make_array(kind)(context, builder, array)
            for kind, array in zip(signature.args, arguments, strict=True)
        )
        sums = [cgutils.alloca_once_value(builder, _ZEROS) for _ in range(2)]
        with cgutils.for_range(builder, _chunks(builder, left)) as loop:
            here = _load(builder, left.data, loop.index, types.float64)
            there = builder.fsub(_load(builder, totals.data, loop.index, types.float64), here)
            for place, chunk in zip(sums, (here, there), strict=True):
                builder.store(builder.fadd(builder.load(place), builder.fmul(chunk, chunk)), place)
        return context.make_tuple(
            builder, signature.return_type, [_sum_of_lanes(builder, builder.load(place)) for place in sums]
        )

    return types.UniTuple(types.float64, 2)(left, totals), generate


def _chunks(builder: Any, array: Any) -> Any:
    return builder.sdiv(array.nitems, ir.Constant(array.nitems.type, LANES))


def _place(builder: Any, data: Any, chunk: Any, vector: Any) -> Any:
    return builder.bitcast(
        builder.gep(data, [builder.mul(chunk, ir.Constant(chunk.type, LANES))]), vector.as_pointer()
    )


def _load(builder: Any, data: Any, chunk: Any, kind: Any) -> Any:
    """Emit the reading of a chunk of float32 or float64 numbers as doubles."""
    single = kind == types.float32
    vector = ir.VectorType(ir.FloatType(), LANES) if single else _VECTOR
    found = load_lanes(builder, _place(builder, data, chunk, vector), vector, align=4 if single else 8)
    return builder.fpext(found, _VECTOR) if single else found


def _sum_of_lanes(builder: Any, vector: Any) -> Any:
    for half in (4, 2, 1):
        low, high = (
            builder.shuffle_vector(
                vector, vector, ir.Constant(ir.VectorType(_LANE, half), list(range(first, first + half)))
            )
            for first in (0, half)
        )
        vector = builder.fadd(low, high)
    return builder.extract_element(vector, _LANE(0))


overload(add_weighted, inline="always")(
    lambda target, source, weight: lambda target, source, weight: _add_weighted(target, source, weight)
)
overload(add_up, inline="always")(lambda rows, first, last: lambda rows, first, last: _add_up(rows, first, last))
overload(split_squares, inline="always")(lambda left, totals: lambda left, totals: _split_squares(left, totals))
