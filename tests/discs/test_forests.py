from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from regforest.discs import DiscLocalizer, DiscSettings, ForestSettings
from regforest.discs.chain import StepModel
from regforest.discs.forests import _filled, _leaf_votes, _votes
from regforest.forest import Forest
from regforest.spatial import AnnotatedScan
from tests.discs.synthetic import NAMES, QUICK, distance_mm, make_scan

FOREST = dataclasses.replace(QUICK, method="forest", forest=ForestSettings(trees=8, rows=4000, min_leaf=5))


@pytest.fixture(scope="module")
def model() -> DiscLocalizer:
    return DiscLocalizer(FOREST).fit([make_scan(i) for i in range(1, 5)])


@pytest.fixture(scope="module")
def scan() -> AnnotatedScan:
    return make_scan(9)


def _stump(values: list[list[float]]) -> Forest:
    return Forest.from_arrays(
        {
            "roots": np.array([0], np.int32), "feature": np.array([0, -1, -1], np.int32),
            "threshold": np.array([0.5, 0, 0], np.float32), "left": np.array([1, -1, -1], np.int32),
            "right": np.array([2, -1, -1], np.int32), "leaf": np.array([-1, 0, 1], np.int32),
            "values": np.array(values, np.float32), "n_features": np.array(1),
        }
    )  # fmt: skip


def test_forests_find_and_outline_what_the_joint_estimate_does(model: DiscLocalizer, scan: AnnotatedScan) -> None:
    localization, labels = model.apply(scan.channels)
    assert list(localization.landmarks) == list(NAMES.values())
    assert distance_mm(localization.landmarks, scan.landmarks).max() < 3.5
    assert scan.labels is not None
    for value in NAMES:
        own, truth = labels.voxels == value, scan.labels.voxels == value
        assert 2 * (own & truth).sum() / (own.sum() + truth.sum()) > 0.8


def test_a_saved_forest_gives_the_same_result_bit_for_bit(
    model: DiscLocalizer, scan: AnnotatedScan, tmp_path: Path
) -> None:
    model.save(tmp_path / "m.rfm")
    again = DiscLocalizer.load(tmp_path / "m.rfm")
    (a, a_labels), (b, b_labels) = model.apply(scan.channels), again.apply(scan.channels, n_jobs=2)
    assert a == b
    np.testing.assert_array_equal(a_labels.voxels, b_labels.voxels)


def test_forests_learn_from_one_patient_and_from_points_alone(scan: AnnotatedScan) -> None:
    model = DiscLocalizer(FOREST).fit([make_scan(1, masks=False)])
    assert distance_mm(model.locate(scan.image), scan.landmarks).max() < 8


def test_a_leaf_trusts_its_vote_the_less_the_more_it_spreads() -> None:
    rows = np.array([[0.0], [0.0], [1.0], [1.0]], np.float32)
    offsets = np.zeros((4, 2, 3), np.float32)
    offsets[:2, 0] = [3.0, 0.0, -6.0]  # the left leaf knows the first structure exactly
    offsets[2:, 0] = [[8.0, 8.0, 8.0], [-8.0, -8.0, -8.0]]  # the right one does not
    offsets[:, 1] = np.nan  # nobody shows the second
    forest = _leaf_votes(_stump([[0.0], [0.0]]), rows, offsets, trust_mm=8.0)
    assert forest.values[:, 0] == pytest.approx([1.0, 2**-1.5])
    assert not forest.values[:, 1].any()
    places, trust = _votes(np.zeros((2, 3)), forest.predict([[0.0], [1.0]]).astype(float), 0)
    np.testing.assert_allclose(places, [[3.0, 0.0, -6.0], [0.0, 0.0, 0.0]], atol=1e-5)
    assert trust == pytest.approx([1.0, 2**-1.5])


def test_structures_that_a_scan_does_not_show_lie_at_mean_steps_from_the_nearest() -> None:
    steps = StepModel(("L1", "L2", "L3"), np.array([[0, 0, -30.0], [0, 2, -34.0]]), np.stack([np.eye(3)] * 2))
    offsets = np.array([[[np.nan] * 3, [1.0, 1, 1], [np.nan] * 3]], np.float32)
    np.testing.assert_allclose(_filled(offsets, steps), [[[1, 1, 31], [1, 1, 1], [1, 3, -33]]])


def test_a_method_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="data-driven, forest, knn"):
        DiscSettings(method="forrest")
