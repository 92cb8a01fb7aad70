"""Slow, obviously correct twins of the package's kernels, for the tests to compare with."""

from __future__ import annotations

import itertools

import numpy as np

# --- vertebrae ------------------------------------------------------------------------------------------------


def mean_shift_mode(weights, start, sigma, steps=300):
    """Mean shift over every voxel of the volume, with the kernel cut at three standard deviations."""
    index = np.indices(weights.shape).reshape(3, -1).T.astype(float)
    flat = weights.ravel().astype(float)
    place, density = np.asarray(start, dtype=float), 0.0
    for _ in range(steps):
        d2 = ((index - place) ** 2).sum(axis=1)
        kernel = np.where(d2 <= 9 * sigma**2, np.exp(-d2 / (2 * sigma**2)), 0)
        reach = np.indices((41, 41, 41)).reshape(3, -1).T - 20 + np.rint(place)
        mass_d2 = ((reach - place) ** 2).sum(axis=1)
        mass = np.exp(-mass_d2[mass_d2 <= 9 * sigma**2] / (2 * sigma**2)).sum()
        density = (kernel * flat).sum() / mass
        moved = (index * (kernel * flat)[:, None]).sum(axis=0) / (kernel * flat).sum()
        if np.abs(moved - place).max() < 1e-6:
            break
        place = moved
    return place, density


# --- evaluation -----------------------------------------------------------------------------------------------


def surface_voxels(mask):
    """Indices of the voxels of a mask with one of their six neighbours outside it, or outside the image."""
    found = []
    for z, y, x in np.argwhere(mask):
        for dz, dy, dx in ((1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)):
            there = (z + dz, y + dy, x + dx)
            inside = all(0 <= i < n for i, n in zip(there, mask.shape, strict=True))
            if not inside or not mask[there]:
                found.append((z, y, x))
                break
    return np.array(found).reshape(-1, 3)


def surface_distances(a, b, matrix):
    """Mean symmetric surface distance and Hausdorff distance in mm, over all pairs of surface voxels."""
    surfaces = []
    for mask in (a, b):
        xyz = surface_voxels(mask)[:, ::-1]
        surfaces.append(np.array([matrix[:3, :3] @ point + matrix[:3, 3] for point in xyz]))
    to_b = [min(np.linalg.norm(p - q) for q in surfaces[1]) for p in surfaces[0]]
    to_a = [min(np.linalg.norm(p - q) for q in surfaces[0]) for p in surfaces[1]]
    return float(np.mean(to_b + to_a)), float(max(to_b + to_a))


# --- spatial --------------------------------------------------------------------------------------------------

ALL_ORIENTATIONS = [
    (order, flips)
    for order in itertools.permutations(range(3))
    for flips in itertools.product((False, True), repeat=3)
]


def reorient(voxels, matrix, order, flips):
    """Store the same image with its axes in another order and direction: new voxels (z, y, x) and matrix.

    Axis i (x, y, z) of the result is axis order[i] of the input, backwards where flips[i].
    """
    old = voxels.transpose(2, 1, 0)
    new = np.empty([old.shape[axis] for axis in order], voxels.dtype)
    to_old = np.zeros((4, 4))
    to_old[3, 3] = 1
    for i, axis in enumerate(order):
        to_old[axis, i] = -1 if flips[i] else 1
        to_old[axis, 3] = old.shape[axis] - 1 if flips[i] else 0
    for index in np.ndindex(*new.shape):
        x, y, z = (to_old @ [*index, 1])[:3].astype(int)
        new[index] = old[x, y, z]
    return new.transpose(2, 1, 0), matrix @ to_old


def resample_linear(voxels, source_matrix, target_matrix, target_shape):
    """Linear interpolation with hats that widen when shrinking, voxel by voxel; parallel axes only.

    Each hat is tilted until its centre of mass is the place asked for.
    """
    to_source = np.linalg.inv(source_matrix) @ target_matrix
    out = np.empty(target_shape)
    for z, y, x in np.ndindex(*target_shape):
        centre = (to_source @ [x, y, z, 1])[:3]
        weights = []
        for axis in range(3):
            count, half = voxels.shape[2 - axis], max(1.0, abs(to_source[axis, axis]))
            taps = np.arange(np.floor(centre[axis] - half), np.ceil(centre[axis] + half) + 1)
            hat = np.maximum(0.0, 1 - np.abs(taps - centre[axis]) / half)
            # unknowns a, b: weights hat * (a + b * tap) with sum 1 and centre of mass at the place
            moments = [(hat * taps**power).sum() for power in range(3)]
            if np.count_nonzero(hat) > 1:
                a, b = np.linalg.solve([moments[:2], moments[1:]], [1, centre[axis]])
                hat = hat * (a + b * taps)
            line = np.zeros(count)
            for tap, weight in zip(taps, hat, strict=True):
                line[int(min(max(tap, 0), count - 1))] += weight
            weights.append(line)
        out[z, y, x] = np.einsum("zyx,x,y,z", voxels, *weights)
    return out

# --- features and forests -------------------------------------------------------------------------------------


def summed_table(image, padding):
    """Summed-volume table of the edge-padded image by three cumulative sums, cut to 32 bits."""
    padded = np.pad(image.astype(np.int64), [(p, p) for p in padding], mode="edge")
    table = np.zeros([n + 1 for n in padded.shape], np.int64)
    table[1:, 1:, 1:] = padded.cumsum(0).cumsum(1).cumsum(2)
    return table.astype(np.int32)


def box_features(pool, volumes, spacing_xyz, index):
    """Box means from slices of padded images, straight from the pool's millimetres."""
    spacing = np.asarray(spacing_xyz, float)[::-1]
    pad = 100
    padded = [np.pad(volume.astype(float), pad, mode="edge") for volume in volumes]
    out = np.zeros((len(index), len(pool)))
    for f, b in itertools.product(range(len(pool)), range(2)):
        channel = pool.channels[f, b]
        if channel < 0:
            continue
        size = np.maximum(1, np.floor(pool.sizes_mm[f, b, ::-1] / spacing + 0.5))
        start = np.floor(pool.offsets_mm[f, b, ::-1] / spacing - (size - 1) / 2 + 0.5)
        for i, point in enumerate(index):
            low = (point + start + pad).astype(int)
            z, y, x = (slice(a, a + int(n)) for a, n in zip(low, size, strict=True))
            out[i, f] += (1 if b == 0 else -1) * padded[channel][z, y, x].mean()
    return out


def walk(forest, row):
    """Leaf value of one feature row in each tree, node by node."""
    reached = []
    for root in forest.roots:
        node = root
        while forest.feature[node] >= 0:
            goes_left = row[forest.feature[node]] <= forest.threshold[node]
            node = forest.left[node] if goes_left else forest.right[node]
        reached.append(forest.values[forest.leaf[node]])
    return np.array(reached)


def codes_of(rows, edges):
    """Number of edges below each value, [feature, row]."""
    return np.array([[(edges[f] < value).sum() for value in rows[:, f]] for f in range(rows.shape[1])], np.uint8)


def exhaustive_split(codes, targets, weights, min_leaf=1):
    """Best (score, code) of one feature: every code tried, all sums from scratch."""
    best = (-1.0, -1)
    for code in np.unique(codes)[:-1]:
        left = codes <= code
        if min(left.sum(), (~left).sum()) < min_leaf:
            continue
        score = sum(
            ((weights[side, None] * targets[side]).sum(axis=0) ** 2).sum() / weights[side].sum()
            for side in (left, ~left)
        )
        if score > best[0]:
            best = (score, int(code))
    return best
