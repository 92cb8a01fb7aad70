from __future__ import annotations

import numpy as np
import pytest

from regforest.errors import DataError
from regforest.vertebrae.chain_context import CONTEXT_WIDTH, RegionDetections, chain_context


def lumbar_chain(bodies_above=4, bodies_below=5):
    count = bodies_above + bodies_below
    points = np.array([[0.0, -3.0 * k, -30.0 * k] for k in range(count)])
    scores = np.array([[0.02, 0.98, 0.03] if k < bodies_above else [0.02, 0.03, 0.98] for k in range(count)])
    return points, scores


def test_the_context_does_not_depend_on_the_order_or_the_place_of_the_detections():
    points, scores = lumbar_chain()
    expected = chain_context(RegionDetections(points, scores))
    order = np.random.default_rng(0).permutation(len(points))
    moved = chain_context(RegionDetections(points[order] + [40.0, -7.0, 900.0], scores[order]))
    np.testing.assert_allclose(moved, expected[order], atol=1e-6)


def test_every_body_knows_what_the_last_one_looks_like():
    points, scores = lumbar_chain()
    other = scores.copy()
    other[-1] = [0.02, 0.03, 0.4]
    changed = chain_context(RegionDetections(points, scores)) != chain_context(RegionDetections(points, other))
    assert changed.any(axis=1).all()


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_detections_have_a_context_of_the_same_width(count):
    points, scores = lumbar_chain()
    context = chain_context(RegionDetections(points[:count], scores[:count]))
    assert context.shape == (count, CONTEXT_WIDTH)
    assert np.isfinite(context).all()


def test_detections_that_make_no_sense_are_refused():
    with pytest.raises(DataError, match="shape"):
        RegionDetections(np.zeros((2, 3)), np.zeros((2, 2)))
    with pytest.raises(DataError, match="finite"):
        RegionDetections(np.full((2, 3), np.nan), np.zeros((2, 3)))
