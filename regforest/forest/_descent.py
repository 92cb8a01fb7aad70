"""Compiled kernels of prediction over a volume: bricks of voxels that go down each tree together.

A brick is a set of words. A word is up to 64 voxels that follow each other along x; a 64-bit number says which of
them take part. At a node each word is split by two bit operations into what goes left and what goes right. A feature
is computed for eight voxels at once, from the first that is there: that costs little more than computing it for one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from regforest._jit import kernel
from regforest.features._kernels import BoxTable
from regforest.features._lanes import LANES, lanes_at_most, lowest_bit
from regforest.forest._kernels import Trees
from regforest.forest._leaves import add_leaves, column_of, columns_of, note_leaf

WORD = 64
BRICK_Z, BRICK_Y = 8, 8  # words of a brick; features read the same part of the table for all of them
_BRICK = BRICK_Z * BRICK_Y
_TREES = 16  # whose leaves are added to the sums together
_APART = 16  # numbers between the trees' leaves: at powers of 2 they would compete for the same places in the cache


class Lattice(NamedTuple):
    """The voxels to predict, and what to write.

    `rows`, `columns`: of a plane. `step_z`, `step_y`: flat steps in the table from a voxel to the next; along x it is
    1. `first_plane`: where the table's first plane stands in the arrays. `wanted` (z, y, x) bool: the voxels to look
    at; of size 0 for all. `maps` (output, z, y, x) float32: mean leaf values; of size 0 if not asked for. `labels`
    (z, y, x) int16 and `best` float32: the largest output and its value; of size 0 if not asked for. `settled`: where
    the foreground (all but the output `background`) is less than this over the first trees, the others are not asked.
    """

    rows: int
    columns: int
    step_z: int
    step_y: int
    first_plane: int
    wanted: NDArray[np.bool_]
    maps: NDArray[np.float32]
    labels: NDArray[np.int16]
    best: NDArray[np.float32]
    background: int
    settled: float


class Brick(NamedTuple):
    """The words of a brick.

    `place` (words, 3) int64: z, y, x of the first voxel in the arrays. `start` int64: its flat position. `voxels`
    uint64: bit i for the voxel at x + i. `rows` int64: which row of the sums is that of the word's first voxel; the
    others follow.
    """

    place: NDArray[np.int64]
    start: NDArray[np.int64]
    voxels: NDArray[np.uint64]
    rows: NDArray[np.int64]


class Groups(NamedTuple):
    """Stack of groups of voxels on their way down a tree.

    `word` int32 and `voxels` uint64: the groups' words behind each other. `waiting` (depth + 2, 3) int64: node, and
    first and last-but-one word, of the groups that wait.
    """

    word: NDArray[np.int32]
    voxels: NDArray[np.uint64]
    waiting: NDArray[np.int64]


def work_bytes(depth: int, outputs: int) -> int:
    """Memory that one call of `predict_bricks` takes for itself."""
    return _BRICK * (WORD * (columns_of(outputs) + _TREES) * 4 + (depth + 3) * 12 + 48)


@kernel
def predict_bricks(
    boxes: BoxTable, trees: Trees, depth: int, lattice: Lattice, z: int, z_stop: int, y_start: int, y_stop: int
) -> None:
    """Predict the wanted voxels of some rows of bricks in a layer of a lattice; `depth` is that of the trees."""
    space, outputs = _BRICK * (depth + 3), trees.values.shape[1]
    brick = Brick(
        np.empty((_BRICK, 3), np.int64),
        np.empty(_BRICK, np.int64),
        np.empty(_BRICK, np.uint64),
        np.empty(_BRICK, np.int64),
    )
    groups = Groups(np.empty(space, np.int32), np.empty(space, np.uint64), np.empty((depth + 2, 3), np.int64))
    sums = np.empty((_BRICK * WORD, columns_of(outputs)), np.float32)
    leaves = np.empty((_TREES, _BRICK * WORD + _APART), np.int32)
    for y in range(y_start, y_stop, BRICK_Y):
        for x in range(0, lattice.columns, WORD):
            words, rows = fill_brick(lattice, z, z_stop, y, x, brick)
            sums[:rows] = 0
            for first in range(0, trees.roots.size, _TREES):
                if first == _TREES and lattice.settled > 0:
                    words, rows = drop_settled(lattice, brick, words, sums, outputs)
                roots = trees.roots[first : first + _TREES]
                for i in range(roots.size):
                    descend(boxes, trees.nodes, roots[i], brick, words, groups, leaves[i])
                add_leaves(trees.values, leaves[: roots.size], rows, sums)
            write_brick(lattice, brick, words, sums, outputs, np.float32(1 / trees.roots.size))


@kernel
def fill_brick(lattice: Lattice, z_start: int, z_stop: int, y_start: int, x: int, brick: Brick) -> tuple[int, int]:
    """Collect the words of a brick that hold a wanted voxel; return the number of words and of voxels."""
    words, rows, lanes = 0, 0, min(WORD, lattice.columns - x)
    for z in range(z_start, z_stop):
        for y in range(y_start, min(y_start + BRICK_Y, lattice.rows)):
            voxels, count = np.uint64(0), 0
            for lane in range(lanes):
                if lattice.wanted.size == 0 or lattice.wanted[lattice.first_plane + z, y, x + lane]:
                    voxels |= np.uint64(1) << np.uint64(lane)
                    count += 1
            brick.place[words, 0], brick.place[words, 1], brick.place[words, 2] = lattice.first_plane + z, y, x
            brick.start[words] = z * lattice.step_z + y * lattice.step_y + x
            brick.voxels[words], brick.rows[words] = voxels, rows
            words += count > 0
            rows += count
    return words, rows


@kernel
def descend(
    boxes: BoxTable,
    nodes: NDArray[np.void],
    root: int,
    brick: Brick,
    words: int,
    groups: Groups,
    leaves: NDArray[np.int32],
) -> None:
    """Bring a brick down one tree; leaves[row of the voxel] ends as its leaf's number."""
    table, corners, scales = boxes.table, boxes.corners, boxes.scales
    word, voxels, waiting = groups.word, groups.voxels, groups.waiting
    first_position = brick.start
    for i in range(words):
        word[i] = i
        voxels[i] = brick.voxels[i]
    waiting[0, 0], waiting[0, 1], waiting[0, 2] = root, 0, words
    groups_left = min(words, 1)
    while groups_left > 0:
        groups_left -= 1
        node, start, stop = waiting[groups_left, 0], waiting[groups_left, 1], waiting[groups_left, 2]
        feature, threshold = nodes[node]["feature"], nodes[node]["threshold"]
        while feature >= 0:
            child = nodes[node]["left"]  # its sibling lies behind it; both are on their way meanwhile
            feature_left, threshold_left = nodes[child]["feature"], nodes[child]["threshold"]
            feature_right, threshold_right = nodes[child + 1]["feature"], nodes[child + 1]["threshold"]
            left, right = start, stop  # words on the left are written over the group's, those on the right behind it
            for i in range(start, stop):
                w, here = word[np.uint64(i)], voxels[np.uint64(i)]
                goes_left = split_word(table, corners, scales, first_position[np.uint64(w)], feature, threshold, here)
                word[np.uint64(left)], voxels[np.uint64(left)] = w, goes_left
                left += goes_left != 0
                word[np.uint64(right)], voxels[np.uint64(right)] = w, here & ~goes_left
                right += here != goes_left
            if left > start and right > stop:
                waiting[groups_left, 0], waiting[groups_left, 1], waiting[groups_left, 2] = child, start, left
                groups_left += 1
            if right > stop:
                node, feature, threshold = child + 1, feature_right, threshold_right
                start, stop = stop, right
            else:
                node, feature, threshold = child, feature_left, threshold_left
                stop = left
        for i in range(start, stop):
            note_leaf(-1 - feature, brick.rows[word[i]], brick.voxels[word[i]], voxels[i], leaves)


@kernel
def split_word(
    table: NDArray[np.int32],
    corners: NDArray[np.int32],
    scales: NDArray[np.float32],
    start: int,
    feature: int,
    threshold: float,
    voxels: np.uint64,
) -> np.uint64:
    """Return which of a word's voxels have a feature of at most the threshold."""
    goes_left = np.uint64(0)
    rest = voxels
    while rest != 0:
        first = np.uint64(lowest_bit(rest))
        found = lanes_at_most(table, corners, scales, start + np.int64(first), feature, threshold)
        goes_left |= np.uint64(found) << first
        rest &= ~(np.uint64((1 << LANES) - 1) << first)
    return goes_left & voxels


@kernel
def drop_settled(
    lattice: Lattice, brick: Brick, words: int, sums: NDArray[np.float32], outputs: int
) -> tuple[int, int]:
    """Write the voxels that the first trees have settled, and close the gaps; return the words and voxels left."""
    row, words_left, rows_left = 0, 0, 0
    column, least = column_of(lattice.background, outputs), np.float32(_TREES * (1 - lattice.settled))
    for word in range(words):
        voxels, open_voxels, first_row = brick.voxels[word], np.uint64(0), rows_left
        while voxels != 0:
            lane = np.uint64(lowest_bit(voxels))
            voxels &= voxels - np.uint64(1)
            if sums[row, column] > least:
                write_voxel(lattice, brick.place[word], np.int64(lane), sums[row], outputs, np.float32(1 / _TREES))
            else:
                sums[rows_left] = sums[row]
                rows_left += 1
                open_voxels |= np.uint64(1) << lane
            row += 1
        brick.place[words_left], brick.start[words_left] = brick.place[word], brick.start[word]
        brick.voxels[words_left], brick.rows[words_left] = open_voxels, first_row
        words_left += open_voxels != 0
    return words_left, rows_left


@kernel
def write_brick(
    lattice: Lattice, brick: Brick, words: int, sums: NDArray[np.float32], outputs: int, weight: np.float32
) -> None:
    """Write the means of a brick's voxels, or the largest of them, to where they belong."""
    row = 0
    for word in range(words):
        voxels = brick.voxels[word]
        while voxels != 0:
            lane = np.int64(lowest_bit(voxels))
            voxels &= voxels - np.uint64(1)
            write_voxel(lattice, brick.place[word], lane, sums[row], outputs, weight)
            row += 1


@kernel
def write_voxel(
    lattice: Lattice,
    place: NDArray[np.int64],
    lane: np.int64,
    sums: NDArray[np.float32],
    outputs: int,
    weight: np.float32,
) -> None:
    """Write the means of a voxel of a word, or the largest of them; the sums are used up."""
    z, y, x = place[0], place[1], place[2] + lane
    for k in range(outputs - outputs % LANES, outputs):
        sums[k] = sums[column_of(k, outputs)]
    means = sums[:outputs]
    means *= weight
    if lattice.maps.size:
        for k in range(outputs):
            lattice.maps[k, z, y, x] = means[k]
    if lattice.labels.size:
        best = 0
        for k in range(1, outputs):
            best = k if means[k] > means[best] else best
        lattice.labels[z, y, x], lattice.best[z, y, x] = best, means[best]
