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


def kernel_mean(weights, place, sigma):
    """Mean of a map around one point under a Gaussian cut at three standard deviations; 0 outside the volume."""
    reach = int(np.ceil(3 * sigma)) + 1
    padded = np.pad(weights.astype(float), reach)  # zeros
    index = np.indices(padded.shape).reshape(3, -1).T - reach
    d2 = ((index - np.asarray(place)) ** 2).sum(axis=1)
    kernel = np.where(d2 <= (3 * sigma) ** 2, np.exp(-d2 / (2 * sigma**2)), 0)
    return (kernel * padded.ravel()).sum() / kernel.sum()


def markov_paths(begin, step, emission):
    """Log-weight of every path through a hidden Markov model, by path."""
    weights = {}
    for path in itertools.product(range(emission.shape[1]), repeat=len(emission)):
        weight = begin[path[0]] + sum(emission[v, state] for v, state in enumerate(path))
        weights[path] = weight + sum(step[v, a, b] for v, (a, b) in enumerate(itertools.pairwise(path)))
    return weights


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


def resample_labels(labels, source_matrix, target_matrix, target_shape):
    """Label of the nearest voxel (of two equally near the later one), 0 beyond the border; voxel by voxel."""
    to_source = np.linalg.inv(source_matrix) @ target_matrix
    out = np.zeros(target_shape, labels.dtype)
    for z, y, x in np.ndindex(*target_shape):
        index = np.floor((to_source @ [x, y, z, 1])[2::-1] + 0.5).astype(int)
        if (index >= 0).all() and (index < labels.shape).all():
            out[z, y, x] = labels[tuple(index)]
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


def interpolated_halfway(values, shape):
    """Values at every second voxel, interpolated at those between; behind the last ones they go on as they are."""
    for axis, size in enumerate(shape):
        place = np.arange(size) / 2
        below, above = np.floor(place).astype(int), np.minimum(np.ceil(place).astype(int), values.shape[axis] - 1)
        values = (np.take(values, below, axis) + np.take(values, above, axis)) / 2
    return values


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


# --- CT phantom -----------------------------------------------------------------------------------------------


def inside_capsule(point, a, b, radius_a, radius_b, thin_along, thin):
    """Whether a point is in one of many balls between a and b, all of space stretched along the thin direction."""
    stretch = np.eye(3) + (thin - 1) * np.outer(thin_along, thin_along)
    t = np.linspace(0, 1, 4001)
    # the ball at the foot of the point, found before stretching
    nearest = np.argmin(np.linalg.norm(a + t[:, None] * (b - a) - point, axis=1))
    centre, radius = a + t[nearest] * (b - a), radius_a + t[nearest] * (radius_b - radius_a)
    return np.linalg.norm(stretch @ (point - centre)) < radius


def inside_ellipsoid(point, centre, radii, axes):
    """Quadratic form of an ellipsoid whose axes are the columns of `axes`."""
    return sum((axes[:, i] @ (point - centre) / radii[i]) ** 2 for i in range(3)) < 1


def inside_box(point, centre, half, axes):
    """Sharp box with half edges along the columns of `axes`."""
    return all(abs(axes[:, i] @ (point - centre)) < half[i] for i in range(3))


def inside_column(point, heights, x, y, half_x, half_y):
    """Oval at a height, interpolated between those given at falling heights."""
    at = [np.interp(-point[2], -heights, values) for values in (x, y, half_x, half_y)]
    return ((point[0] - at[0]) / at[2]) ** 2 + ((point[1] - at[1]) / at[3]) ** 2 < 1


def paint_back_to_front(image, shares, values):
    """Painter's algorithm on one voxel: later layers over earlier ones."""
    for share, value in zip(shares, values, strict=True):
        image = image * (1 - share) + value * share
    return image


def projections(image, angles, bins):
    """Parallel projections of an image (y, x), the axis in the middle bin; a pixel is shared by the nearest bins."""
    centre = (np.array(image.shape) - 1) / 2
    sums = np.zeros((len(angles), bins))
    for (y, x), value in np.ndenumerate(image):
        for a, angle in enumerate(angles):
            place = (bins - 1) / 2 + (x - centre[1]) * np.cos(angle) + (y - centre[0]) * np.sin(angle)
            sums[a] += value * np.maximum(0, 1 - np.abs(np.arange(bins) - place))
    return sums


def back_projection(sums, angles, shape):
    """Adjoint of `projections`, as a matrix: what each pixel gives to each bin is what it gets back."""
    image = np.zeros(shape)
    for y, x in np.ndindex(*shape):
        dot = np.zeros(shape)
        dot[y, x] = 1
        image[y, x] = (projections(dot, angles, sums.shape[1]) * sums).sum()
    return image


# --- vertebrae: identification along the chain ------------------------------------------------------------------


def chain_paths(points, node_log, begin, end, prior):
    """Every way to name the candidates (sorted from cranial to caudal): {(levels, units per step): log-weight}.

    Walks all paths recursively; the density of each step is written out from the prior's means and covariances.
    """
    from math import lgamma

    from scipy.linalg import eigh

    from regforest.spatial import LEVELS
    from regforest.vertebrae.chain_prior import ARCS

    nu = prior.freedom
    peak = lgamma((nu + 3) / 2) - lgamma(nu / 2) - 1.5 * np.log(nu * np.pi)
    rare = {tuple(name.split(">")): p for name, p in prior.rare_probability.items()}

    def chance(arc):
        upper, _ = ARCS[arc]
        if ARCS[arc] in rare:
            return np.log(rare[ARCS[arc]])
        return np.log1p(-sum(p for (a, _), p in rare.items() if a == upper))

    def routes(upper, lower, depth=0):
        if upper == lower:
            yield [], 0.0
        elif depth < 6:
            for k, (a, b) in enumerate(ARCS):
                if a == upper:
                    for rest, log in routes(b, lower, depth + 1):
                        yield [k, *rest], chance(k) + log + (np.log(prior.miss_probability) if rest else 0.0)

    def cross(a, b, lag):
        known = len(prior.step_correlation)
        rho = prior.step_correlation[min(lag, known) - 1] * 0.5 ** max(0, lag - known)
        sd = [np.sqrt(np.diag(prior.step_covariance_mm2[k])) for k in (a, b)]
        return np.diag(rho * sd[0] * sd[1])

    def covariance(units):
        return sum(
            prior.step_covariance_mm2[a] if i == j else cross(a, b, abs(i - j))
            for i, a in enumerate(units)
            for j, b in enumerate(units)
        )

    def density(deviation, cov):
        q = deviation @ np.linalg.solve(cov, deviation)
        log = peak - 0.5 * np.log(np.linalg.det(cov)) - 0.5 * (nu + 3) * np.log1p(q / nu)
        return -6.5 + prior.step_weight * (log + 6.5), q

    def step_log(step, route, previous):
        units, log = route
        cov, deviation = covariance(units), step - sum(prior.step_mean_mm[k] for k in units)
        alone, q = density(deviation, cov)
        if previous is None or len(units) > 1 or len(previous[0]) > 1:
            return log + alone, q, deviation
        before = covariance(previous[0])
        c = cross(units[0], previous[0][0], 1)
        gain = c @ np.linalg.inv(before)
        q_before = previous[1] @ np.linalg.solve(before, previous[1])
        kept = previous[1] * min(1.0, 3.0 / np.sqrt(max(q_before, 1e-12)))
        rest = cov - gain @ c.T
        values, vectors = eigh((rest + rest.T) / 2, 0.15 * cov)  # at least 15 % of the variance stays
        basis = 0.15 * cov @ vectors
        rest = basis @ np.diag(np.maximum(values, 1)) @ basis.T
        return log + density(deviation - gain @ kept, rest)[0], q, deviation

    found = {((-1,) * len(points), ()): 0.0}

    def walk(levels, kinds, i, level, previous, log):
        found[tuple(levels), kinds] = log + end[level]
        for j in range(i + 1, len(points)):
            for lower in range(level + 1, len(LEVELS)):
                options = list(routes(LEVELS[level], LEVELS[lower]))
                if not options or node_log[j, lower] == -np.inf:
                    continue
                single = [o for o in options if len(o[0]) == 1]
                longer = sorted((o for o in options if len(o[0]) > 1), key=lambda o: -o[1])[:1]
                for route in single + longer:
                    value, q, deviation = step_log(points[j] - points[i], route, previous)
                    if q > (64.0 if len(route[0]) == 1 else 25.0):
                        continue
                    named = list(levels)
                    named[j] = lower
                    units = (*kinds, len(route[0]))
                    walk(named, units, j, lower, (route[0], deviation), log + value + node_log[j, lower])

    for i in range(len(points)):
        for level in np.flatnonzero(node_log[i] > -np.inf):
            levels = [-1] * len(points)
            levels[i] = int(level)
            walk(levels, (), i, int(level), None, begin[level] + node_log[i, level])
    return found


# --- discs ----------------------------------------------------------------------------------------------------


def nearest_by_sorting(queries, rows, allowed, k):
    """All distances sorted: the k nearest rows that are allowed, infinite and -1 where there are fewer."""
    squared, number = np.full((len(queries), k), np.inf), np.full((len(queries), k), -1)
    for q, query in enumerate(queries.astype(float)):
        all_squared = np.where(allowed[q], ((rows.astype(float) - query) ** 2).sum(axis=1), np.inf)
        nearest = np.argsort(all_squared)[:k]
        nearest = nearest[np.isfinite(all_squared[nearest])]
        squared[q, : len(nearest)], number[q, : len(nearest)] = all_squared[nearest], nearest
    return squared, number


def joint_estimate_dense(data, confidence, links):
    """Minimise E(Y) of regforest.discs.displacement as one dense linear least-squares problem."""
    count = len(data)
    rows, wanted = [np.diag(np.sqrt(confidence))], [np.sqrt(confidence)[:, None] * data]
    for first, second, weight, offset in links:
        for m, (i, j) in enumerate(zip(first, second, strict=True)):
            row = np.zeros(count)
            row[i] += 1.0
            row[j] -= 1.0
            rows.append(np.sqrt(weight[m]) * row[None])
            gap = np.zeros(data.shape[1]) if offset is None else offset[m]
            wanted.append(np.sqrt(weight[m]) * gap[None])
    return np.linalg.lstsq(np.concatenate(rows), np.concatenate(wanted), rcond=None)[0]


def best_chain_by_enumeration(candidates, scores, step_score, absent_log_score):
    """Best total over every choice of one candidate or none per structure, none only at the ends."""
    best = len(candidates) * absent_log_score
    for chosen in itertools.product(*([None, *range(len(c))] for c in candidates)):
        present = [s for s, c in enumerate(chosen) if c is not None]
        if not present or present != list(range(present[0], present[-1] + 1)):
            continue
        total = (len(candidates) - len(present)) * absent_log_score
        total += sum(scores[s][chosen[s]] for s in present)
        total += sum(step_score(s, candidates[s][chosen[s]], candidates[s + 1][chosen[s + 1]]) for s in present[:-1])
        best = max(best, total)
    return best


def nearest_values(rows, in_bag, feature, threshold, left, right):
    """Of each node, the largest value up to its threshold and the smallest above, of the rows in the bag."""
    at = {0: [i for i in range(len(rows)) if in_bag[i]]}
    below, above = np.full(len(feature), -np.inf, np.float32), np.full(len(feature), np.inf, np.float32)
    for node in range(len(feature)):  # children have larger numbers
        if feature[node] < 0:
            continue
        values = {i: rows[i, feature[node]] for i in at[node]}
        at[left[node]] = [i for i in at[node] if values[i] <= threshold[node]]
        at[right[node]] = [i for i in at[node] if values[i] > threshold[node]]
        below[node] = max((values[i] for i in at[left[node]]), default=-np.inf)
        above[node] = min((values[i] for i in at[right[node]]), default=np.inf)
    return below, above
