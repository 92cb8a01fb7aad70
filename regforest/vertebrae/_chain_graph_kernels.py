"""Compiled kernels of the chain: the graph of possible steps and their densities.

A node is a candidate with a level, numbered ``candidate * levels + level``; an edge is a step between two nodes
that the prior allows. Candidates are ordered along the spine and levels from cranial to caudal, so every edge leads
to a later candidate and a later level: edges sorted by their first node are in topological order. An edge to the very
next level is *linked*: its density depends on that of the linked edge before it (`transition`). An edge over missing
bodies is *loose*: it depends on nothing, and what leads to it can be summed per node. Of the edges from a node, the
linked ones come first: ``first_edge[v]`` to ``first_loose[v]``, then the loose ones to ``first_edge[v + 1]``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from regforest._jit import kernel

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@kernel
def distance_squared(whiten: Floats, x: float, y: float, z: float) -> float:
    """Squared Mahalanobis distance of a deviation, from the (lower triangular) whitening matrix."""
    a = whiten[0, 0] * x
    b = whiten[1, 0] * x + whiten[1, 1] * y
    c = whiten[2, 0] * x + whiten[2, 1] * y + whiten[2, 2] * z
    return float(a * a + b * b + c * c)


@kernel
def find_edges(
    points: Floats,
    allowed: NDArray[np.bool_],
    arc_start: Ints,
    arc_loose: Ints,
    arc_to: Ints,
    arc_mean: Floats,
    arc_whiten: Floats,
    gates: Floats,
    first_edge: Ints,
    first_loose: Ints,
    edges: Ints,
) -> int:
    """List the steps within the gates (linked, loose): columns from-node, to-node, arc.

    With no room in `edges` they are only counted. `first_edge` and `first_loose` are filled.
    """
    count, levels = 0, allowed.shape[1]
    for i in range(len(points)):
        for a in range(levels):
            first_edge[i * levels + a] = count
            for loose in range(2):
                if loose == 1:
                    first_loose[i * levels + a] = count
                if not allowed[i, a]:
                    continue
                low, high = (arc_loose[a], arc_start[a + 1]) if loose == 1 else (arc_start[a], arc_loose[a])
                for j in range(i + 1, len(points)):
                    x, y, z = points[j, 0] - points[i, 0], points[j, 1] - points[i, 1], points[j, 2] - points[i, 2]
                    for arc in range(low, high):
                        b, mean = arc_to[arc], arc_mean[arc]
                        if not allowed[j, b]:
                            continue
                        if distance_squared(arc_whiten[arc], x - mean[0], y - mean[1], z - mean[2]) > gates[loose]:
                            continue
                        if count < len(edges):
                            edges[count, 0], edges[count, 1], edges[count, 2] = i * levels + a, j * levels + b, arc
                        count += 1
    first_edge[len(points) * levels] = count
    return count


@kernel
def score_edges(
    deviation: Floats,
    edges: Ints,
    arc_whiten: Floats,
    arc_log: Floats,
    freedom: float,
    weight: float,
    step: Floats,
    reach: Floats,
) -> None:
    """Log-density of each step by itself, and how much of its deviation the next step may take over.

    Beyond three standard deviations the share falls, so that one broken step does not drag its neighbour along.
    """
    for e in range(len(edges)):
        arc, d = edges[e, 2], deviation[e]
        q = distance_squared(arc_whiten[arc], d[0], d[1], d[2])
        step[e] = arc_log[arc] - weight * 0.5 * (freedom + 3.0) * np.log1p(q / freedom)
        reach[e] = min(1.0, 3.0 / np.sqrt(max(q, 1e-12)))


@kernel
def score_transitions(
    deviation: Floats,
    reach: Floats,
    edges: Ints,
    first_edge: Ints,
    first_loose: Ints,
    arc_start: Ints,
    gain: Floats,
    whiten: Floats,
    pair_log: Floats,
    freedom: float,
    weight: float,
    offsets: Ints,
    transition: Floats,
) -> None:
    """Log-density of each linked step given the linked step before it, for every such pair that meets in a node."""
    levels = len(arc_start) - 1
    for e in range(len(edges)):
        if offsets[e + 1] == offsets[e]:
            continue
        node, arc = edges[e, 1], edges[e, 2]
        x, y, z = deviation[e, 0] * reach[e], deviation[e, 1] * reach[e], deviation[e, 2] * reach[e]
        for f in range(first_edge[node], first_loose[node]):
            slot = edges[f, 2] - arc_start[node % levels]
            g, d = gain[arc, slot], deviation[f]
            q = distance_squared(
                whiten[arc, slot],
                d[0] - g[0, 0] * x - g[0, 1] * y - g[0, 2] * z,
                d[1] - g[1, 0] * x - g[1, 1] * y - g[1, 2] * z,
                d[2] - g[2, 0] * x - g[2, 1] * y - g[2, 2] * z,
            )
            k = offsets[e] + f - first_edge[node]
            transition[k] = pair_log[arc, slot] - weight * 0.5 * (freedom + 3.0) * np.log1p(q / freedom)
