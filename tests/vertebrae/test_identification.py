from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regforest.errors import DataError, LevelError
from regforest.spatial import LEVELS, PAPER_LEVELS
from regforest.vertebrae.chain_prior import ARCS, default_chain_prior
from regforest.vertebrae.identification import identify, spread_region_scores

PRIOR = default_chain_prior()


def spine(names, seed=0, noise_mm=1.0):
    rng = np.random.default_rng(seed)
    points = [np.zeros(3)]
    for arc in itertools.pairwise(names):
        points.append(points[-1] + PRIOR.step_mean_mm[ARCS.index(arc)] + rng.normal(0, noise_mm, 3))
    return np.array(points)


def between(first, last):
    return list(PAPER_LEVELS[PAPER_LEVELS.index(first) : PAPER_LEVELS.index(last) + 1])


def forest_scores(names, right=0.5, beside=0.15):
    """Log-scores as of a forest: most for the right level, some for its neighbours; None is a false detection."""
    scores = np.full((len(names), len(LEVELS)), 1e-4)
    for row, name in enumerate(names):
        if name is not None:
            k = LEVELS.index(name)
            scores[row, max(0, k - 1) : k + 2] = beside
            scores[row, k] = right
    return np.log(scores)


def region_scores(names):
    return spread_region_scores(*(np.array([0.95 if n[0] == r else 0.03 for n in names]) for r in "CTL"))


def test_a_clear_chain_is_named_with_certainty():
    names = between("T9", "L5")
    found = identify(spine(names), forest_scores(names))
    assert list(found.levels) == names
    assert found.probabilities.min() > 0.99
    assert found.anchored
    assert found.reason == ""


def test_the_turn_of_region_scores_names_the_chain():
    names = between("T10", "L4")
    found = identify(spine(names), region_scores(names))
    assert list(found.levels) == names
    assert found.anchored


def test_a_lumbar_crop_is_uncertain_and_not_anchored():
    names = between("L1", "L3")
    found = identify(spine(names), region_scores(names))
    assert not found.anchored
    assert "no anchoring level" in found.reason
    assert found.probabilities.max() < 0.9
    assert found.alternatives[0][1] > 0.05


@settings(deadline=None, max_examples=15)
@given(order=st.permutations(range(9)), x=st.floats(-500, 500), y=st.floats(-500, 500), z=st.floats(-2000, 2000))
def test_neither_the_order_of_the_input_nor_its_place_matters(order, x, y, z):
    names = between("T10", "L5")
    points, scores = spine([*names]), forest_scores(names)
    points, scores = np.vstack([points, points[3] + 4]), np.vstack([scores, scores[3]])
    expected = identify(points, scores)
    found = identify(points[order] + [x, y, z], scores[order])
    assert found.levels == tuple(expected.levels[i] for i in order)
    np.testing.assert_allclose(found.probabilities, expected.probabilities[order], atol=1e-6)
    assert found.shift_probability[1] == pytest.approx(expected.shift_probability[1], abs=1e-6)


def test_two_marks_of_one_body_get_one_name():
    names = between("T12", "L4")
    points = np.vstack([spine(names), spine(names)[2] + [3, 3, 2]])
    found = identify(points, forest_scores([*names, "L2"]))
    assert sorted(n for n in found.levels if n) == sorted(names)
    assert found.levels.count(None) == 1
    assert {found.levels[2], found.levels[5]} == {"L2", None}


def test_a_false_detection_beside_the_spine_gets_no_name():
    names = between("T8", "L2")
    points = np.vstack([spine(names), spine(names)[4] + [60, -20, 8]])
    found = identify(points, forest_scores([*names, "T12"], right=0.3))
    assert list(found.levels) == [*names, None]
    assert found.probabilities[-1] > 0.9


def test_bodies_missing_in_the_middle_leave_a_gap_in_the_names():
    names = between("T5", "L4")
    keep = [k for k, name in enumerate(names) if name not in ("T9", "T10", "L2")]
    found = identify(spine(names)[keep], forest_scores(names)[keep])
    assert list(found.levels) == [names[k] for k in keep]
    assert found.probabilities.min() > 0.9


@pytest.mark.parametrize(
    "names",
    [["T10", "T11", "T12", "T13", "L1", "L2"], ["T9", "T10", "T11", "L1", "L2"], ["L3", "L4", "L5", "L6", "S1"]],
    ids=["T13", "no T12", "L6"],
)
def test_transitional_anatomy_is_named_when_the_scores_say_so(names):
    found = identify(spine(names), forest_scores(names, right=0.7, beside=0.02))
    assert list(found.levels) == names


def test_an_anchor_forces_the_naming():
    names, points = between("L1", "L3"), spine(between("L1", "L3"))
    for shift, anchor in ((0, "L1"), (1, "L2"), (-1, "T12")):
        found = identify(points, region_scores(names), anchor={anchor: points[0] + [3, 0, 3]})
        first = PAPER_LEVELS.index("L1") + shift
        assert list(found.levels) == list(PAPER_LEVELS[first : first + 3])
        assert found.anchored
        assert found.probabilities[0] == pytest.approx(1.0)


def test_an_anchor_far_from_every_candidate_takes_part_itself():
    names = between("T12", "L4")
    points = spine(names)
    found = identify(points[1:], np.full((4, len(LEVELS)), -np.log(30)), anchor={"t12": points[0]})
    assert list(found.levels) == names[1:]


def test_probabilities_are_consistent():
    names = between("T11", "L3")
    found = identify(spine(names), region_scores(names))
    for p in (*found.probabilities, *found.shift_probability.values(), *(p for _, p in found.alternatives)):
        assert 0 <= p <= 1
    assert sum(found.shift_probability.values()) <= 1 + 1e-9
    shares = [p for _, p in found.alternatives]
    assert shares == sorted(shares, reverse=True)
    assert all(levels != found.levels for levels, _ in found.alternatives)


def test_the_shifted_chain_is_among_the_alternatives():
    names = between("L1", "L3")
    found = identify(spine(names), region_scores(names))
    first = PAPER_LEVELS.index(found.levels[0])
    shifted = {tuple(PAPER_LEVELS[first + s : first + s + 3]) for s in (-1, 1)}
    assert shifted & {levels for levels, _ in found.alternatives[:2]}


def test_both_shifts_of_the_whole_chain_are_listed_and_unlikely_changes_of_a_part_are_not():
    names = between("T10", "L4")
    found = identify(spine(names), region_scores(names))
    first = PAPER_LEVELS.index("T10")
    shifted = {tuple(PAPER_LEVELS[first + s : first + s + len(names)]) for s in (-1, 1)}
    assert shifted <= {levels for levels, _ in found.alternatives}
    for levels, probability in found.alternatives:
        assert probability >= 0.03 or not any(a == b for a, b in zip(levels, found.levels, strict=True))


def test_doubt_about_a_border_body_stays_on_the_side_that_is_in_doubt():
    # all but surely thoracic, and perhaps lumbar: for a share of the scores this would be a coin's throw
    scores = np.exp(spread_region_scores([0.02], [0.98], [0.75]))[0]
    assert scores[LEVELS.index("T12")] > 10 * scores[LEVELS.index("L1")]


def test_a_sixth_body_below_the_turn_is_L6_rather_than_the_sacrum():
    names = between("T10", "L5")
    points = np.vstack([spine(names), spine(names)[-1] + [0, 8, -33]])
    found = identify(points, region_scores([*names, "L6"]))
    assert list(found.levels) == [*names, "L6"]


def test_no_candidates_give_an_empty_answer():
    found = identify(np.empty((0, 3)), np.empty((0, len(LEVELS))))
    assert found.levels == ()
    assert found.reason == "no detections"


@pytest.mark.parametrize("count", [1, 2])
def test_one_or_two_candidates_can_be_named(count):
    names = between("L2", "L3")[:count]
    found = identify(spine(names), forest_scores(names, right=0.9, beside=0.01))
    assert list(found.levels) == names


def test_without_any_evidence_nothing_is_named():
    found = identify(spine(between("T1", "T6")), np.full((6, len(LEVELS)), -np.inf))
    assert found.levels == (None,) * 6
    assert found.reason
    assert not found.anchored


def test_points_all_in_one_place_give_at_most_one_name():
    found = identify(np.zeros((12, 3)), forest_scores(["L1"] * 12))
    assert sum(name is not None for name in found.levels) <= 1


def test_an_upside_down_spine_is_never_confidently_wrong():
    names = between("T6", "L5")
    found = identify(spine(names) * [1, 1, -1], forest_scores(names, right=0.8, beside=0.02))
    assert "upside down" in found.reason
    named = [p for p, name in zip(found.probabilities, found.levels, strict=True) if name]
    assert max(named, default=0) < 0.1


def test_where_false_detections_explain_everything_the_reason_says_so():
    names = ["T9"]
    weak = forest_scores(names) + np.log(0.02)
    found = identify(spine(names), weak)
    assert "may be no vertebra at all" in found.reason
    assert "no anchoring level" in identify(spine(["T9", "T10"]), forest_scores(["T9", "T10"])).reason


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_coordinates_that_are_not_finite_are_refused(value):
    with pytest.raises(DataError, match="finite"):
        identify([[0, 0, value]], np.zeros((1, len(LEVELS))))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_scores_that_are_no_logarithms_are_refused(value):
    with pytest.raises(DataError, match="logarithms"):
        identify([[0, 0, 0]], np.full((1, len(LEVELS)), value))


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(DataError, match="shape"):
        identify(np.zeros((2, 3)), np.zeros((2, 26)))


def test_unknown_anchors_and_two_on_one_candidate_are_refused():
    names = between("L1", "L3")
    points, scores = spine(names), forest_scores(names)
    with pytest.raises(LevelError):
        identify(points, scores, anchor={"X9": points[0]})
    with pytest.raises(DataError, match="one candidate"):
        identify(points, scores, anchor={"L1": points[0], "L2": points[0] + 1})


def test_region_scores_out_of_range_are_refused():
    with pytest.raises(DataError, match="region scores"):
        spread_region_scores([np.nan], [0.5], [0.5])


def test_sixty_candidates_take_a_moment():
    names = between("C3", "L5")
    rng = np.random.default_rng(0)
    points = spine(names)
    extra = rng.integers(0, len(names), 37)
    points = np.vstack([points, points[extra] + rng.normal(0, 8, (37, 3))])
    scores = forest_scores([*names, *(names[k] for k in extra)], right=0.3)
    identify(points, scores)
    start = time.perf_counter()
    found = identify(points, scores)
    assert time.perf_counter() - start < 1.0  # about 0.05 s; wide, for busy machines and uncompiled runs apart
    named = [name for name in found.levels if name]
    assert len(named) == len(set(named))


def test_the_probabilities_of_shifts_exclude_one_another():
    # two weak candidates: that both are false is likely, and says nothing about a shift
    points = np.array([[0.0, 0.0, 0.0], [0.0, 3.0, -33.0]])
    scores = spread_region_scores([0.0, 0.0], [0.0, 0.0], [0.3, 0.3])
    shares = identify(points, scores).shift_probability
    assert 0 < sum(shares.values()) <= 1
