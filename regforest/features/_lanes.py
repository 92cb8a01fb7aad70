"""Eight voxels of a row at once, and sets of up to 64 voxels as the bits of a number.

The compiler turns a loop over eight voxels into single steps long before it could make vector instructions of it. So
`lanes_at_most` is written in the compiler's own terms: vectors of eight numbers, which it maps to whatever the
machine has. Wider ones compute more voxels that nobody asked for, and are slower. The plain functions are what runs,
and what is tested, where compilation is switched off.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload
from numpy.typing import NDArray

LANES = 8
"""Voxels compared at once. A table needs as many spare numbers behind it: lanes beyond a row are read, not used."""

_WORD, _LANE = ir.IntType(64), ir.IntType(32)
_INTS, _FLOATS = ir.VectorType(ir.IntType(32), LANES), ir.VectorType(ir.FloatType(), LANES)


def lowest_bit(word: int | np.uint64) -> int:
    """Position of the lowest bit that is set; the word is not 0."""
    return (int(word) & -int(word)).bit_length() - 1


def bits_below(word: int | np.uint64, bit: int | np.uint64) -> int:
    """Count the bits of a word that are set below one of them, which is given as a power of 2."""
    return (int(word) & (int(bit) - 1)).bit_count()


def lanes_at_most(
    table: NDArray[np.int32],
    corners: NDArray[np.int32],
    scales: NDArray[np.float32],
    position: int | np.int64,
    feature: int,
    threshold: float,
) -> int:
    """Bit i: whether a feature of voxel i of the eight from a flat position on is at most the threshold.

    The features are those of `feature_at`, bit for bit.
    """
    c = [table[p : p + LANES].astype(np.int64) for p in position + corners[feature].astype(np.int64)]
    first, second = (
        (c[b + 7] - c[b + 6]) - (c[b + 5] - c[b + 4]) - (c[b + 3] - c[b + 2]) + (c[b + 1] - c[b]) for b in (0, 8)
    )
    values = first.astype(np.int32).astype(np.float32) * scales[feature, 0]
    if scales[feature, 1] != 0:
        values -= second.astype(np.int32).astype(np.float32) * scales[feature, 1]
    return sum(1 << i for i in range(LANES) if values[i] <= threshold)


@intrinsic  # type: ignore[untyped-decorator]
def _lowest_bit(context: Any, word: Any) -> Any:
    return types.uint64(types.uint64), lambda _, builder, __, arguments: builder.cttz(arguments[0], ir.IntType(1)(1))


@intrinsic  # type: ignore[untyped-decorator]
def _bits_below(context: Any, word: Any, bit: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word, bit = arguments
        return builder.ctpop(builder.and_(word, builder.sub(bit, _WORD(1))))

    return types.uint64(types.uint64, types.uint64), generate


@intrinsic  # type: ignore[untyped-decorator]
def _lanes_at_most(
    context: Any, table: Any, corners: Any, scales: Any, position: Any, feature: Any, threshold: Any
) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        table, corners, scales = (
            context.make_array(kind)(context, builder, array).data
            for kind, array in zip(signature.args[:3], arguments[:3], strict=True)
        )
        position, feature, threshold = arguments[3:]
        here = builder.gep(table, [position])
        corners = builder.gep(corners, [builder.mul(feature, _WORD(16))])
        scales = builder.gep(scales, [builder.mul(feature, _WORD(2))])
        second_scale = builder.load(builder.gep(scales, [_WORD(1)]))
        first = _scaled_sums(builder, here, corners, 0, builder.load(scales))
        start = builder.basic_block
        with builder.if_then(builder.fcmp_unordered("!=", second_scale, ir.FloatType()(0.0))):
            both = builder.fsub(first, _scaled_sums(builder, here, corners, 8, second_scale))
            branch = builder.basic_block
        values = builder.phi(_FLOATS)
        values.add_incoming(first, start)
        values.add_incoming(both, branch)
        goes_left = builder.fcmp_ordered("<=", values, in_all_lanes(builder, threshold, _FLOATS))
        return builder.zext(builder.bitcast(goes_left, ir.IntType(LANES)), _WORD)

    arguments = (table, corners, scales, types.int64, types.int64, types.float32)
    return types.uint64(*arguments), generate


def _scaled_sums(builder: Any, here: Any, corners: Any, first: int, scale: Any) -> Any:
    """Emit the sums of one box in all lanes, times its scale; corners in the order of `BoxTable`."""
    c = []
    for k in range(first, first + 8):
        offset = builder.sext(builder.load(builder.gep(corners, [_WORD(k)])), _WORD)
        c.append(load_lanes(builder, builder.gep(here, [offset]), _INTS, align=4))
    far = builder.sub(builder.sub(c[7], c[6]), builder.sub(c[5], c[4]))
    near = builder.sub(builder.sub(c[3], c[2]), builder.sub(c[1], c[0]))
    return builder.fmul(builder.sitofp(builder.sub(far, near), _FLOATS), in_all_lanes(builder, scale, _FLOATS))


def load_lanes(builder: Any, pointer: Any, vector: Any, align: int) -> Any:
    """Emit the reading of a vector of a type, which may begin anywhere: it is aligned as its numbers are."""
    return builder.load(builder.bitcast(pointer, vector.as_pointer()), align=align)


def in_all_lanes(builder: Any, number: Any, vector: Any) -> Any:
    """Emit a vector of a type that holds a number in each of its lanes."""
    undefined = ir.Constant(vector, ir.Undefined)
    single = builder.insert_element(undefined, number, _LANE(0))
    return builder.shuffle_vector(single, undefined, ir.Constant(ir.VectorType(_LANE, vector.count), None))


# the compiler compares the signatures of both functions, annotations included: lambdas have none
overload(lowest_bit, inline="always")(lambda word: lambda word: _lowest_bit(word))
overload(bits_below, inline="always")(lambda word, bit: lambda word, bit: _bits_below(word, bit))
overload(lanes_at_most, inline="always")(
    lambda table, corners, scales, position, feature, threshold: (
        lambda table, corners, scales, position, feature, threshold: _lanes_at_most(
            table, corners, scales, position, feature, threshold
        )
    )
)
