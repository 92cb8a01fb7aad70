"""Compiled kernels that choose a node's split among columns of a table."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from regforest._jit import kernel
from regforest.forest._candidates import Source, random_below
from regforest.forest._nodes import BLOCK, Limits, Node, Samples, Space, best_cut

_MANY_ROWS = 2048  # from so many samples on, a node reads its codes faster from columns than from rows


@kernel
def choose_column(
    source: Source, samples: Samples, start: int, stop: int, node: Node, limits: Limits, space: Space
) -> tuple[int, int, float]:
    """Best feature and code among `max_features` columns drawn without replacement, and its score; or (-1, -1, -1).

    As in scikit-learn, drawing goes on until a feature that is not constant in the node has been seen.
    """
    best, best_feature, best_code = -1.0, -1, -1
    rows, pool, count, tried, varied = samples.rows[start:stop], space.pool, stop - start, 0, False
    while tried < pool.size and (tried < limits.max_features or not varied):
        more = min(max(1, limits.max_features - tried), pool.size - tried, BLOCK)
        features = draw_columns(pool, tried, more, space.state)
        gather_codes(source, rows, features, space.codes)
        score, which, code, varies = best_cut(space.codes, more, node, limits.min_leaf, space)
        varied = varied or varies
        if score > best:
            best, best_feature, best_code = score, features[which], code
            space.best_codes[:count] = space.codes[which * count : (which + 1) * count]
        tried += more
    return best_feature, best_code, best


@kernel
def draw_columns(pool: NDArray[np.int32], tried: int, more: int, state: NDArray[np.uint64]) -> NDArray[np.int32]:
    """Bring `more` columns, drawn from all but the first of the pool that have been `tried`, behind these."""
    for drawn in range(tried, tried + more):
        other = drawn + random_below(state, pool.size - drawn)
        feature = pool[other]
        pool[other] = pool[drawn]
        pool[drawn] = feature
    return pool[tried : tried + more]


@kernel
def gather_codes(
    source: Source, rows: NDArray[np.int32], features: NDArray[np.int32], codes: NDArray[np.uint8]
) -> None:
    """Write the codes of a node's samples, one feature after the other.

    The rows of a large node lie close to each other in a column; those of a small one do not, but their codes, once
    read, stay in the cache for the nodes below.
    """
    count = rows.size
    if count >= _MANY_ROWS:
        for f in range(features.size):
            for i in range(count):
                codes[f * count + i] = source.columns[features[f], np.uint64(rows[i])]
    else:
        for i in range(count):
            row = np.uint64(rows[i])
            for f in range(features.size):
                codes[f * count + i] = source.rows[row, np.uint64(features[f])]
