"""Where candidates for a node's split come from, and compiled kernels that choose among boxes drawn on the spot.

Glocker et al. (MICCAI 2013) draw features anew at every node, from all boxes that there could be; a table holds a
fixed pool of them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from regforest._jit import kernel
from regforest.features._kernels import feature_at
from regforest.forest._nodes import Limits, Node, Samples, Space, best_cut

_MOST_DRAWS = 10  # times `max_features`: boxes tried until one varies
_LOW, _HIGH, _CHANNEL = 0, 3, 6  # columns of a box: first voxel, the one behind the last (z, y, x), channel or -1


class BoxField(NamedTuple):
    """Training voxels in their images, and how boxes around them are drawn; axes in the order z, y, x.

    `table`: the summed-volume tables of all images behind each other, int32. `strides` (images, 3) int64: steps from
    channel, plane and row to the next. `image` (rows,) int32 and `position` (rows,) int64: of the training voxels;
    corners are relative to the position. `spacing_mm`, `radius_mm` (3,), `log_size` (2,): float64. `channels`: number
    of channels; `two_box_share`, `local_share`: probabilities.
    """

    table: NDArray[np.int32]
    strides: NDArray[np.int64]
    image: NDArray[np.int32]
    position: NDArray[np.int64]
    spacing_mm: NDArray[np.float64]
    radius_mm: NDArray[np.float64]
    log_size: NDArray[np.float64]
    channels: int
    two_box_share: float
    local_share: float


class Source(NamedTuple):
    """Where features come from: codes as `columns` (features, rows) and again as `rows`; boxes if these are empty.

    `edges` (features, 256): the values that bound the codes.
    """

    columns: NDArray[np.uint8]
    rows: NDArray[np.uint8]
    edges: NDArray[np.float32]
    field: BoxField


@kernel
def random_bits(state: NDArray[np.uint64]) -> np.uint64:
    """Next 53 bits of a splitmix64 sequence."""
    state[0] += np.uint64(0x9E3779B97F4A7C15)
    z = state[0]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    bits: np.uint64 = z >> np.uint64(11)
    return bits


@kernel
def random_below(state: NDArray[np.uint64], limit: int) -> int:
    """Draw from 0 .. limit - 1."""
    return int(random_bits(state) % np.uint64(limit))


@kernel
def random_share(state: NDArray[np.uint64]) -> float:
    """Draw uniformly from [0, 1)."""
    return float(random_bits(state)) * 2.0**-53


@kernel
def choose_boxes(
    source: Source,
    samples: Samples,
    start: int,
    stop: int,
    node: Node,
    limits: Limits,
    space: Space,
    boxes: NDArray[np.int32],
) -> tuple[int, float]:
    """Draw `max_features` box features; write the best one's `boxes` (2, 7), return its code and score, or (-1, -1).

    Drawing goes on, within reason, until a feature that is not constant in the node has been seen.
    """
    best, best_code = -1.0, -1
    count, varied, drawn = stop - start, False, np.empty((2, 7), np.int32)
    for attempt in range(_MOST_DRAWS * limits.max_features):
        if attempt >= limits.max_features and varied:
            break
        draw_boxes(source.field, space.state, drawn)
        low, high = box_values(source.field, samples.rows, start, stop, drawn, space.values)
        if low == high:
            continue
        encode_evenly(space.values, count, low, high, space.codes)
        score, _, code, varied = best_cut(space.codes, 1, node, limits.min_leaf, space)
        if score > best:
            best, best_code = score, code
            boxes[:] = drawn
            space.best_codes[:count] = space.codes[:count]
            space.best_values[:count] = space.values[:count]
    return best_code, best


@kernel
def draw_boxes(field: BoxField, state: NDArray[np.uint64], boxes: NDArray[np.int32]) -> None:
    """Draw one feature, in whole voxels, from the distribution of `BoxSpace`."""
    two = random_share(state) < field.two_box_share
    for b in range(2):
        draw_box(field, state, boxes[b])
        boxes[b, _CHANNEL] = random_below(state, field.channels)
    if not two:
        boxes[1] = 0
        boxes[1, _CHANNEL] = -1


@kernel
def draw_box(field: BoxField, state: NDArray[np.uint64], box: NDArray[np.int32]) -> None:
    """Draw one box: it covers the voxel, or its centre is uniform in an ellipsoid; edges are log-uniform."""
    local = random_share(state) < field.local_share
    x, y, z = 2.0, 0.0, 0.0
    while x * x + y * y + z * z > 1:  # uniform in the unit ball
        x, y, z = 2 * random_share(state) - 1, 2 * random_share(state) - 1, 2 * random_share(state) - 1
    for axis in range(3):
        place = z if axis == 0 else y if axis == 1 else x
        size = np.exp(field.log_size[0] + random_share(state) * (field.log_size[1] - field.log_size[0]))
        offset = (random_share(state) - 0.5) * size if local else place * field.radius_mm[axis]
        spacing = field.spacing_mm[axis]
        voxels = max(1, int(np.floor(size / spacing + 0.5)))
        low = int(np.floor(offset / spacing - (voxels - 1) / 2 + 0.5))
        box[_LOW + axis], box[_HIGH + axis] = low, low + voxels


@kernel
def box_values(
    field: BoxField,
    rows: NDArray[np.int32],
    start: int,
    stop: int,
    boxes: NDArray[np.int32],
    values: NDArray[np.float32],
) -> tuple[float, float]:
    """Write the feature of each sample of a node, and return the lowest and the highest.

    Samples of one image follow each other, so that the flat offsets of the corners are computed once for each image.
    """
    table, positions, images = field.table, field.position, field.image
    corners, scales, previous = np.empty((1, 16), np.int32), np.zeros((1, 2), np.float32), -1
    for b in range(2):
        if boxes[b, _CHANNEL] >= 0:
            z, y, x = boxes[b, _HIGH:_CHANNEL] - boxes[b, _LOW:_HIGH]
            scales[0, b] = 1 / (z * y * x)
    low, high = np.inf, -np.inf
    for i in range(start, stop):
        row = np.uint64(rows[i])
        if images[row] != previous:
            previous = images[row]
            corner_offsets(boxes, field.strides[previous], corners[0])
        value = np.float32(feature_at(table, corners, scales, positions[row], 0))
        values[i - start] = value
        low, high = min(low, float(value)), max(high, float(value))
    return low, high


@kernel
def corner_offsets(boxes: NDArray[np.int32], strides: NDArray[np.int64], corners: NDArray[np.int32]) -> None:
    """Flat offsets of the corners of two boxes, in the order of `BoxTable`."""
    for b in range(2):
        channel = max(boxes[b, _CHANNEL], 0) * strides[0]
        for corner in range(8):
            z = boxes[b, _HIGH if corner & 4 else _LOW]
            y = boxes[b, 1 + (_HIGH if corner & 2 else _LOW)]
            x = boxes[b, 2 + (_HIGH if corner & 1 else _LOW)]
            corners[8 * b + corner] = channel + z * strides[1] + y * strides[2] + x


@kernel
def encode_evenly(values: NDArray[np.float32], count: int, low: float, high: float, codes: NDArray[np.uint8]) -> None:
    """Codes 0 .. 255 by equal steps between the lowest and the highest value; never falling where values rise."""
    step = 255.9 / (high - low)
    for i in range(count):
        codes[i] = np.uint8(min(255.0, (np.float64(values[i]) - low) * step))
