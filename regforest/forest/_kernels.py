"""Compiled kernels of prediction: flat trees applied to feature rows, and to groups of voxels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from regforest._jit import kernel
from regforest.features._kernels import BoxTable, feature_along, feature_at

NODE = np.dtype([("feature", np.int32), ("threshold", np.float32), ("left", np.int32), ("right", np.int32)])
"""A node packed into one quarter of a cache line; at a leaf, `feature` is -1 - row of its values."""

_ROW_BLOCK = 256
_VOXEL_BLOCK = 2048  # its work space stays in the second-level cache
_MAX_GAP = 16  # voxels of a row no further apart than this are computed together with those between them
_SHORTEST_RUN = 3  # fewer voxels than this are computed one by one
_FEW = 2  # so few voxels leave the group and walk down the tree by themselves


class Trees(NamedTuple):
    """All that a kernel needs of a forest: `roots` int32, `nodes` of `NODE`, `values` float32 (leaves, outputs)."""

    roots: NDArray[np.int32]
    nodes: NDArray[np.void]
    values: NDArray[np.float32]


class GroupSpace(NamedTuple):
    """Work space of `predict_group`; the sizes are those for groups of `_VOXEL_BLOCK`."""

    moving: NDArray[np.int32]
    spare: NDArray[np.int32]
    found: NDArray[np.float32]
    run: NDArray[np.float32]
    stack: NDArray[np.int64]


@kernel
def leaf_of_row(row: NDArray[np.float32], node: int, nodes: NDArray[np.void]) -> int:
    """Row in the values of the leaf that a feature row reaches from a node."""
    feature: int = nodes[node]["feature"]
    while feature >= 0:
        node = nodes[node]["left"] if row[feature] <= nodes[node]["threshold"] else nodes[node]["right"]
        feature = nodes[node]["feature"]
    return -1 - feature


@kernel
def apply_rows(rows: NDArray[np.float32], trees: Trees, out: NDArray[np.int32]) -> None:
    """Leaf of each row in each tree, out[row, tree]."""
    for tree in range(trees.roots.size):
        for i in range(rows.shape[0]):
            out[i, tree] = leaf_of_row(rows[i], trees.roots[tree], trees.nodes)


@kernel
def predict_rows(rows: NDArray[np.float32], trees: Trees, out: NDArray[np.float32]) -> None:
    """Mean over the trees of the leaf values of each row, out[row, output]; blocks of rows stay in the cache."""
    weight = np.float32(1 / trees.roots.size)
    for start in range(0, rows.shape[0], _ROW_BLOCK):
        stop = min(start + _ROW_BLOCK, rows.shape[0])
        out[start:stop] = 0
        for tree in range(trees.roots.size):
            for i in range(start, stop):
                add_to(out[i], trees.values[leaf_of_row(rows[i], trees.roots[tree], trees.nodes)])
        out[start:stop] *= weight


@kernel
def add_to(target: NDArray[np.float32], value: NDArray[np.float32]) -> None:
    """Add one vector to another in place."""
    for k in range(target.size):
        target[k] += value[k]


@kernel
def predict_voxels(
    boxes: BoxTable, trees: Trees, positions: NDArray[np.int64], depth: int, out: NDArray[np.float32]
) -> None:
    """Mean over the trees of the leaf values at voxels, out[voxel, output].

    `positions` are flat; the more of them follow each other along rows, the faster. `depth` is that of the trees.
    """
    space = GroupSpace(
        np.empty(_VOXEL_BLOCK + 1, np.int32),
        np.empty(_VOXEL_BLOCK + 1, np.int32),
        np.empty(_VOXEL_BLOCK, np.float32),
        np.empty(_VOXEL_BLOCK * _MAX_GAP, np.float32),
        np.empty((depth + 2, 3), np.int64),
    )
    weight = np.float32(1 / trees.roots.size)
    for start in range(0, positions.size, _VOXEL_BLOCK):
        stop = min(start + _VOXEL_BLOCK, positions.size)
        out[start:stop] = 0
        for tree in range(trees.roots.size):
            predict_group(boxes, trees, trees.roots[tree], positions[start:stop], space, out[start:stop])
        out[start:stop] *= weight


@kernel
def predict_group(
    boxes: BoxTable,
    trees: Trees,
    root: int,
    positions: NDArray[np.int64],
    space: GroupSpace,
    sums: NDArray[np.float32],
) -> None:
    """Add the leaf values of one tree, sums[voxel, output].

    All voxels of the group go down the tree together and are partitioned at every node, order kept.
    """  # fmt: skip
    table, corners, scales = boxes.table, boxes.corners, boxes.scales
    nodes, values = trees.nodes, trees.values
    moving, spare, found, run, stack = space.moving, space.spare, space.found, space.run, space.stack
    for i in range(positions.size):
        moving[i] = i
    stack[0, 0], stack[0, 1], stack[0, 2] = root, 0, positions.size
    waiting = 1
    while waiting > 0:
        waiting -= 1
        node, start, stop = stack[waiting, 0], stack[waiting, 1], stack[waiting, 2]
        while nodes[node]["feature"] >= 0 and stop - start > _FEW:
            left, right = nodes[node]["left"], nodes[node]["right"]
            feature = nodes[node]["feature"]
            group_features(table, corners, scales, feature, positions, moving, start, stop, found, run)
            middle = partition(moving, spare, found, start, stop, nodes[node]["threshold"])
            if middle == start:
                node = right
            elif middle == stop:
                node = left
            else:
                stack[waiting, 0], stack[waiting, 1], stack[waiting, 2] = right, middle, stop
                waiting += 1
                node, stop = left, middle
        for i in range(start, stop):
            voxel = np.uint64(moving[i])
            leaf = leaf_of_voxel(table, corners, scales, positions[voxel], node, nodes)
            for k in range(values.shape[1]):
                sums[voxel, k] += values[leaf, k]


@kernel
def leaf_of_voxel(
    table: NDArray[np.int32],
    corners: NDArray[np.int32],
    scales: NDArray[np.float32],
    position: int,
    node: int,
    nodes: NDArray[np.void],
) -> int:
    """Row in the values of the leaf that one voxel reaches from a node."""
    feature: int = nodes[node]["feature"]
    while feature >= 0:
        goes_left = feature_at(table, corners, scales, position, feature) <= nodes[node]["threshold"]
        node = nodes[node]["left"] if goes_left else nodes[node]["right"]
        feature = nodes[node]["feature"]
    return -1 - feature


@kernel
def group_features(
    table: NDArray[np.int32],
    corners: NDArray[np.int32],
    scales: NDArray[np.float32],
    feature: int,
    positions: NDArray[np.int64],
    moving: NDArray[np.int32],
    start: int,
    end: int,
    found: NDArray[np.float32],
    run: NDArray[np.float32],
) -> None:
    """One feature of each voxel of a group: runs of near neighbours as a whole, the others one by one."""
    while start < end:
        first = positions[np.uint64(moving[start])]
        last, stop = first, start + 1
        while stop < end and 0 < positions[np.uint64(moving[stop])] - last <= _MAX_GAP:
            last = positions[np.uint64(moving[stop])]
            stop += 1
        if stop - start < _SHORTEST_RUN:
            for i in range(start, stop):
                found[i] = feature_at(table, corners, scales, positions[np.uint64(moving[i])], feature)
        elif last - first == stop - start - 1:
            feature_along(table, corners, scales, first, feature, found, start, stop - start)
        else:
            feature_along(table, corners, scales, first, feature, run, 0, last - first + 1)
            for i in range(start, stop):
                found[i] = run[np.uint64(positions[np.uint64(moving[i])] - first)]
        start = stop


@kernel
def partition(
    moving: NDArray[np.int32],
    spare: NDArray[np.int32],
    found: NDArray[np.float32],
    start: int,
    stop: int,
    threshold: float,
) -> int:
    """Bring entries with found <= threshold to the front, order kept on both sides; return where the rest begins."""
    low, high = start, 0
    for i in range(start, stop):
        entry = moving[i]
        goes_left = found[i] <= threshold
        moving[np.uint64(low)] = entry  # no branch: what is written too far left is written again
        spare[np.uint64(high)] = entry
        low += goes_left
        high += 1 - goes_left
    for i in range(high):
        moving[low + i] = spare[i]
    return low
