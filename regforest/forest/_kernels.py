"""Compiled kernels of prediction: flat trees applied to feature rows, and to single voxels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from regforest._jit import kernel
from regforest.features._kernels import BoxTable, feature_at

NODE = np.dtype([("feature", np.int32), ("threshold", np.float32), ("left", np.int32), ("right", np.int32)])
"""A node packed into one quarter of a cache line. At a leaf, `feature` is -1 - row of its values.

The right child stands behind the left one."""

_ROW_BLOCK = 128


class Trees(NamedTuple):
    """All that a kernel needs of a forest: `roots` int32, `nodes` of `NODE`, `values` float32 (leaves, outputs)."""

    roots: NDArray[np.int32]
    nodes: NDArray[np.void]
    values: NDArray[np.float32]


@kernel
def pair_siblings(forest: tuple[NDArray[np.int32], ...], number: NDArray[np.int32], stack: NDArray[np.int32]) -> None:
    """Renumber nodes so that siblings follow each other; `forest` is roots, feature, left and right."""
    roots, feature, left, right = forest
    count = 0
    for root in roots:
        number[root] = count
        count += 1
        stack[0] = root
        waiting = 1
        while waiting > 0:
            waiting -= 1
            node = stack[waiting]
            if feature[node] >= 0:
                number[left[node]], number[right[node]] = count, count + 1
                count += 2
                stack[waiting], stack[waiting + 1] = right[node], left[node]
                waiting += 2


@kernel
def walk_rows(
    rows: NDArray[np.float32], root: int, nodes: NDArray[np.void], here: NDArray[np.int32], moving: NDArray[np.int32]
) -> None:
    """Bring a block of feature rows down one tree, a step of each at a time; here[row] ends as its leaf's number.

    Which child comes next and which rows are still on their way is computed, not branched on: no guess of the
    processor goes wrong, and the rows' loads overlap.
    """
    count = rows.shape[0]
    for i in range(count):
        here[i] = root
        moving[i] = i
    if nodes[root]["feature"] < 0:
        count = 0
    while count > 0:
        going_on = 0
        for i in range(count):
            row = np.uint64(moving[np.uint64(i)])
            node = np.uint64(here[row])
            goes_left = rows[row, np.uint64(nodes[node]["feature"])] <= nodes[node]["threshold"]
            child = nodes[node]["left"] + (1 - np.int32(goes_left))
            here[row] = child
            moving[np.uint64(going_on)] = row
            going_on += nodes[np.uint64(child)]["feature"] >= 0
        count = going_on
    for i in range(rows.shape[0]):
        here[i] = -1 - nodes[here[i]]["feature"]


@kernel
def apply_rows(rows: NDArray[np.float32], trees: Trees, out: NDArray[np.int32]) -> None:
    """Leaf of each row in each tree, out[row, tree]."""
    here, moving = np.empty(_ROW_BLOCK, np.int32), np.empty(_ROW_BLOCK, np.int32)
    for start in range(0, rows.shape[0], _ROW_BLOCK):
        stop = min(start + _ROW_BLOCK, rows.shape[0])
        for tree in range(trees.roots.size):
            walk_rows(rows[start:stop], trees.roots[tree], trees.nodes, here, moving)
            out[start:stop, tree] = here[: stop - start]


@kernel
def predict_rows(rows: NDArray[np.float32], trees: Trees, start: int, stop: int, out: NDArray[np.float32]) -> None:
    """Mean over the trees of the leaf values of rows `start` up to `stop`, out[row, output]; by blocks."""
    here, moving = np.empty(_ROW_BLOCK, np.int32), np.empty(_ROW_BLOCK, np.int32)
    weight = np.float32(1 / trees.roots.size)
    for first in range(start, stop, _ROW_BLOCK):
        last = min(first + _ROW_BLOCK, stop)
        out[first:last] = 0
        for tree in range(trees.roots.size):
            walk_rows(rows[first:last], trees.roots[tree], trees.nodes, here, moving)
            for i in range(first, last):
                add_to(out[i], trees.values[here[i - first]])
        out[first:last] *= weight


@kernel
def add_to(target: NDArray[np.float32], value: NDArray[np.float32]) -> None:
    """Add one vector to another in place."""
    for k in range(target.size):
        target[k] += value[k]


@kernel
def predict_points(boxes: BoxTable, trees: Trees, positions: NDArray[np.int64], out: NDArray[np.float32]) -> None:
    """Mean over the trees of the leaf values at flat positions, out[point, output]; best in order of place."""
    table, corners, scales = boxes.table, boxes.corners, boxes.scales
    weight = np.float32(1 / trees.roots.size)
    for start in range(0, positions.size, _ROW_BLOCK):
        stop = min(start + _ROW_BLOCK, positions.size)
        out[start:stop] = 0
        for root in trees.roots:
            for i in range(start, stop):
                add_to(out[i], trees.values[leaf_of_voxel(table, corners, scales, positions[i], root, trees.nodes)])
        out[start:stop] *= weight


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
