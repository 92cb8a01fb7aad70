"""Compiled kernels of prediction: flat trees applied to feature rows, and to single voxels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from regforest._jit import kernel
from regforest.features._kernels import BoxTable, feature_at

NODE = np.dtype([("feature", np.int32), ("threshold", np.float32), ("left", np.int32), ("right", np.int32)])
"""A node packed into one quarter of a cache line; at a leaf, `feature` is -1 - row of its values."""

_ROW_BLOCK = 256


class Trees(NamedTuple):
    """All that a kernel needs of a forest: `roots` int32, `nodes` of `NODE`, `values` float32 (leaves, outputs)."""

    roots: NDArray[np.int32]
    nodes: NDArray[np.void]
    values: NDArray[np.float32]


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
