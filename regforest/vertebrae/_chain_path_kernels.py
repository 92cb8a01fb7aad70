"""Compiled kernels of the chain: sums and maxima over all paths through the graph of `_chain_graph_kernels`.

Each pass visits the edges in topological order (or against it) once. What leads into a node is kept twice: all of it,
for the loose edges that follow, and what begins there or came by a loose edge, for the linked ones. A linked edge
after a linked one has a density of its own (`transition`) and is reached from edge to edge.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from regforest._jit import kernel

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@kernel
def log_add(a: float, b: float) -> float:
    """Logarithm of exp(a) + exp(b)."""
    high, low = max(a, b), min(a, b)
    if low < high - 40.0 or high == -np.inf:  # beyond the precision of a double
        return high
    return float(high + np.log1p(np.exp(low - high)))


@kernel
def sum_forward(
    edges: Ints,
    first_edge: Ints,
    first_loose: Ints,
    offsets: Ints,
    transition: Floats,
    step: Floats,
    begin: Floats,
    end: Floats,
    node_log: Floats,
    forward: Floats,
) -> float:
    """Log of the sum over all paths; `forward` becomes that of the paths up to and with each edge.

    `begin` and `end` are the log-weights of beginning and ending in a node; the path without nodes weighs 1.
    """
    total = 0.0
    into = np.full((2, len(node_log)), -np.inf)  # by what may follow: any loose edge, any edge
    for v in range(len(node_log)):
        into[:, v] = begin[v] + node_log[v]
        total = log_add(total, into[0, v] + end[v])
    forward[:] = -np.inf
    for e in range(len(edges)):
        u, v = edges[e, 0], edges[e, 1]
        linked = e < first_loose[u]
        before = into[1, u] if linked else into[0, u]
        forward[e] = log_add(forward[e], before + step[e] + node_log[v])
        if forward[e] == -np.inf:
            continue
        total = log_add(total, forward[e] + end[v])
        into[0, v] = log_add(into[0, v], forward[e])
        if not linked:
            into[1, v] = log_add(into[1, v], forward[e])
            continue
        for f in range(first_edge[v], first_loose[v]):
            weight = transition[offsets[e] + f - first_edge[v]] + node_log[edges[f, 1]]
            forward[f] = log_add(forward[f], forward[e] + weight)
    return total


@kernel
def sum_backward(
    edges: Ints,
    first_edge: Ints,
    first_loose: Ints,
    offsets: Ints,
    transition: Floats,
    step: Floats,
    begin: Floats,
    end: Floats,
    node_log: Floats,
    forward: Floats,
    backward: Floats,
    marginal: Floats,
) -> None:
    """After `sum_forward`: `marginal` becomes the log of the sum over the paths through each node."""
    out = np.full((2, len(node_log)), -np.inf)  # after a loose edge; after a linked one, by loose ones alone
    for v in range(len(node_log)):
        out[:, v] = end[v]
        marginal[v] = begin[v] + node_log[v] + end[v]
    for e in range(len(edges) - 1, -1, -1):
        u, v = edges[e, 0], edges[e, 1]
        linked = e < first_loose[u]
        backward[e] = out[1, v] if linked else out[0, v]
        if linked:
            for f in range(first_edge[v], first_loose[v]):
                weight = transition[offsets[e] + f - first_edge[v]] + node_log[edges[f, 1]]
                backward[e] = log_add(backward[e], backward[f] + weight)
        here = step[e] + node_log[v] + backward[e]
        out[0, u] = log_add(out[0, u], here)
        if not linked:
            out[1, u] = log_add(out[1, u], here)
        marginal[u] = log_add(marginal[u], begin[u] + node_log[u] + here)
        marginal[v] = log_add(marginal[v], forward[e] + backward[e])


@kernel
def best_forward(
    edges: Ints,
    first_edge: Ints,
    first_loose: Ints,
    offsets: Ints,
    transition: Floats,
    step: Floats,
    begin: Floats,
    end: Floats,
    node_log: Floats,
    forward: Floats,
    before: Ints,
) -> None:
    """Best path up to and with each edge; `before` is its edge before that one, -1 at the path's beginning."""
    into = np.full((2, len(node_log)), -np.inf)
    into_edge = np.full((2, len(node_log)), -1)
    for v in range(len(node_log)):
        into[:, v] = begin[v] + node_log[v]
    forward[:] = -np.inf
    for e in range(len(edges)):
        u, v = edges[e, 0], edges[e, 1]
        linked = e < first_loose[u]
        kind = 1 if linked else 0
        value = into[kind, u] + step[e] + node_log[v]
        if value > forward[e]:
            forward[e], before[e] = value, into_edge[kind, u]
        for k in range(1 if linked else 2):
            if forward[e] > into[k, v]:
                into[k, v], into_edge[k, v] = forward[e], e
        if not linked:
            continue
        for f in range(first_edge[v], first_loose[v]):
            value = forward[e] + transition[offsets[e] + f - first_edge[v]] + node_log[edges[f, 1]]
            if value > forward[f]:
                forward[f], before[f] = value, e


@kernel
def best_backward(
    edges: Ints,
    first_edge: Ints,
    first_loose: Ints,
    offsets: Ints,
    transition: Floats,
    step: Floats,
    begin: Floats,
    end: Floats,
    node_log: Floats,
    forward: Floats,
    backward: Floats,
    after: Ints,
    best: Floats,
    best_edge: Ints,
) -> None:
    """After `best_forward`: best path through each node: its score in `best`, one of its edges in `best_edge`.

    From that edge (-1: the path is the node alone) `before` leads to the path's beginning and `after` to its end.
    """
    out = np.full((2, len(node_log)), -np.inf)
    out_edge = np.full((2, len(node_log)), -1)
    for v in range(len(node_log)):
        out[:, v] = end[v]
        best[v], best_edge[v] = begin[v] + node_log[v] + end[v], -1
    for e in range(len(edges) - 1, -1, -1):
        u, v = edges[e, 0], edges[e, 1]
        linked = e < first_loose[u]
        kind = 1 if linked else 0
        backward[e], after[e] = out[kind, v], out_edge[kind, v]
        if linked:
            for f in range(first_edge[v], first_loose[v]):
                value = backward[f] + transition[offsets[e] + f - first_edge[v]] + node_log[edges[f, 1]]
                if value > backward[e]:
                    backward[e], after[e] = value, f
        here = step[e] + node_log[v] + backward[e]
        for k in range(1 if linked else 2):
            if here > out[k, u]:
                out[k, u], out_edge[k, u] = here, e
        value = forward[e] + backward[e]
        for w in (u, v):
            if value > best[w]:
                best[w], best_edge[w] = value, e
