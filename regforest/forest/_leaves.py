"""Values of the leaves that the voxels of a brick have reached: which leaves, and their sums over the trees.

The leaves of some trees are noted first and added then, voxel by voxel: neighbours mostly reach the same leaves, so
that these are read from the cache, and the sums of eight outputs stay in a register. As in `features._lanes`, the
plain function is what runs where compilation is switched off.
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
from regforest.features._lanes import LANES, bits_below, load_lanes
from regforest.forest._outputs import padded

_WORD, _VECTOR = ir.IntType(64), ir.VectorType(ir.FloatType(), LANES)


def add_eight(
    sums: NDArray[np.float32],
    at: int,
    values: NDArray[np.float32],
    column: int,
    leaves: NDArray[np.int32],
    row: int,
) -> None:
    """Add eight values, from a column on, of the leaves (tree, row) that a row has reached, tree by tree.

    The sums stand from a flat position on. They stay in a register meanwhile.
    """
    target = sums.reshape(-1)[at : at + LANES]
    for tree in range(leaves.shape[0]):
        target += values[leaves[tree, row], column : column + LANES]


@intrinsic  # type: ignore[untyped-decorator]
def _add_eight(context: Any, sums: Any, at: Any, values: Any, column: Any, leaves: Any, row: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        sums, values, leaves = (
            context.make_array(signature.args[k])(context, builder, arguments[k]) for k in (0, 2, 4)
        )
        at, column, row = (arguments[k] for k in (1, 3, 5))
        place = builder.bitcast(builder.gep(sums.data, [at]), _VECTOR.as_pointer())
        total = cgutils.alloca_once_value(builder, builder.load(place, align=4))
        trees, room = cgutils.unpack_tuple(builder, leaves.shape)
        outputs = cgutils.unpack_tuple(builder, values.shape)[1]
        with cgutils.for_range(builder, trees) as loop:
            leaf = builder.load(builder.gep(leaves.data, [builder.add(builder.mul(loop.index, room), row)]))
            first = builder.add(builder.mul(builder.zext(leaf, _WORD), outputs), column)
            found = load_lanes(builder, builder.gep(values.data, [first]), _VECTOR, align=4)
            builder.store(builder.fadd(builder.load(total), found), total)
        builder.store(builder.load(total), place, align=4)
        return context.get_dummy_value()

    return types.void(sums, types.int64, values, types.int64, leaves, types.int64), generate


overload(add_eight, inline="always")(
    lambda sums, at, values, column, leaves, row: (
        lambda sums, at, values, column, leaves, row: _add_eight(sums, at, values, column, leaves, row)
    )
)


@kernel
def columns_of(outputs: int) -> int:
    """Columns of the sums: chunks of eight outputs, of which the last one may repeat some of the chunk before."""
    return outputs if outputs < LANES else padded(outputs)


@kernel
def column_of(output: int, outputs: int) -> int:
    """Column of the sums that holds an output."""
    return output if output < outputs - outputs % LANES else output + columns_of(outputs) - outputs


@kernel
def note_leaf(leaf: int, first_row: int, word: np.uint64, voxels: np.uint64, leaves: NDArray[np.int32]) -> None:
    """Write a leaf's number to the rows of some voxels of a word, whose first voxel has the first row."""
    while voxels != 0:
        bit = voxels & (~voxels + np.uint64(1))
        voxels ^= bit
        leaves[np.uint64(first_row) + bits_below(word, bit)] = leaf


@kernel
def add_leaves(values: NDArray[np.float32], leaves: NDArray[np.int32], rows: int, sums: NDArray[np.float32]) -> None:
    """Add the values of the leaves that each row has reached, tree by tree."""
    outputs, columns = values.shape[1], sums.shape[1]
    for row in range(rows):
        for k in range(0, outputs if outputs >= LANES else 0, LANES):
            add_eight(sums, row * columns + k, values, min(k, outputs - LANES), leaves, row)
        for k in range(0 if outputs >= LANES else outputs):
            total = sums[np.uint64(row), np.uint64(k)]
            for tree in range(leaves.shape[0]):
                total += values[np.uint64(leaves[np.uint64(tree), np.uint64(row)]), np.uint64(k)]
            sums[np.uint64(row), np.uint64(k)] = total
