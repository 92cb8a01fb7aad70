from __future__ import annotations

import itertools

import numpy as np
import pytest

from regforest.errors import DataError
from regforest.spatial import LEVELS, PAPER_LEVELS
from regforest.vertebrae.chain_context import RegionDetections
from regforest.vertebrae.chain_prior import ARCS, default_chain_prior
from regforest.vertebrae.emission import FALSE, RegionEmission, name_detections
from regforest.vertebrae.identification import identify

PRIOR = default_chain_prior()


def chain(names, rng, noise_mm=1.0):
    place = rng.normal(0, 100, 3)
    points = {names[0]: place}
    for arc in itertools.pairwise(names):
        place = place + PRIOR.step_mean_mm[ARCS.index(arc)] + rng.normal(0, noise_mm, 3)
        points[arc[1]] = place
    return points


def detected(points, rng):
    scores = [[0.97 if name[0] == region else 0.03 for region in "CTL"] for name in points]
    return RegionDetections(np.array(list(points.values())) + rng.normal(0, 1, (len(points), 3)), np.array(scores))


def data(count, seed=0):
    rng = np.random.default_rng(seed)
    first = [int(rng.integers(PAPER_LEVELS.index("T6"), PAPER_LEVELS.index("T11"))) for _ in range(count)]
    truth = [chain(PAPER_LEVELS[k : PAPER_LEVELS.index("L5") + 1], rng) for k in first]
    return truth, [detected(points, rng) for points in truth]


def names_of(labels):
    return [None if label == FALSE else LEVELS[label] for label in labels]


def test_detections_are_named_by_the_nearest_body_and_only_one_each():
    truth = {"L1": np.array([0.0, 0, 0]), "L2": np.array([0.0, -8, -33])}
    points = np.array([[0, -8, -32.0], [0, 0, 4], [0, 0, 9], [80, 0, 0]])
    assert names_of(name_detections(points, truth)) == ["L2", "L1", None, None]


def test_bodies_beyond_the_annotation_are_named_on():
    rng = np.random.default_rng(0)
    full = chain(["T11", "T12", "L1", "L2", "L3", "L4", "L5", "S1"], rng, noise_mm=0.5)
    annotated = {name: full[name] for name in ("L1", "L2", "L3", "L4", "L5")}
    assert names_of(name_detections(np.array(list(full.values())), annotated)) == list(full)


def test_a_body_left_out_between_T12_and_L1_is_a_T13():
    full = chain(["T11", "T12", "T13", "L1", "L2"], np.random.default_rng(0))
    annotated = {name: place for name, place in full.items() if name != "T13"}
    assert names_of(name_detections(np.array(list(full.values())), annotated)) == list(full)


def test_scores_in_context_name_bodies_that_look_alike():
    truth, scans = data(60)
    emission = RegionEmission(trees=30).fit(scans[:50], truth[:50])
    right = total = 0
    for scan, points, logs in zip(scans[50:], truth[50:], emission.level_log_scores(scans[50:]), strict=True):
        assert logs.shape == (len(scan.points_lps_mm), len(LEVELS))
        assert (np.exp(logs).sum(axis=1) <= 1).all()
        best = [LEVELS[k] for k in logs.argmax(axis=1)]
        right += sum(a == b for a, b in zip(best, points, strict=True))
        total += len(best)
    assert right / total > 0.9


def test_a_sacrum_that_was_detected_is_not_called_L6_and_an_L6_is():
    rng = np.random.default_rng(2)
    full = [
        chain([*PAPER_LEVELS[k : PAPER_LEVELS.index("L5") + 1], "S1" if i % 2 else "L6"], rng)
        for i, k in enumerate(rng.integers(PAPER_LEVELS.index("T7"), PAPER_LEVELS.index("T11"), 80))
    ]
    scans = []
    for points in full:
        scan = detected(points, rng)
        scan.region_scores[-1] = [0.03, 0.03, 0.97 if "L6" in points else 0.6]
        scans.append(scan)
    annotated = [{name: points[name] for name in points if name != "S1"} for points in full]
    emission = RegionEmission(trees=30).fit(scans[:60], annotated[:60])
    logs = emission.level_log_scores(scans[60:])
    named = [identify(scan.points_lps_mm, own).levels[-1] for scan, own in zip(scans[60:], logs, strict=True)]
    assert named == [list(points)[-1] for points in full[60:]]


def test_one_seed_gives_one_result():
    truth, scans = data(15)
    first, second = (RegionEmission(trees=5, seed=3).fit(scans, truth).level_log_scores(scans) for _ in range(2))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_scan_without_detections_has_no_scores():
    truth, scans = data(15)
    empty = RegionDetections(np.empty((0, 3)), np.empty((0, 3)))
    emission = RegionEmission(trees=5).fit([*scans, empty], [*truth, truth[0]])
    logs = emission.level_log_scores([scans[0], empty, scans[1]])
    assert [len(block) for block in logs] == [len(scans[0].points_lps_mm), 0, len(scans[1].points_lps_mm)]
    assert emission.level_log_scores([]) == []


def test_input_that_cannot_be_learned_from_is_refused():
    truth, scans = data(3)
    with pytest.raises(DataError, match="true chain"):
        RegionEmission().fit(scans, truth[:2])
    with pytest.raises(DataError, match="no scan"):
        RegionEmission().fit([], [])
