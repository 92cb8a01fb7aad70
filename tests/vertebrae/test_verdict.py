"""Doubts in words: chains with a known fault are described by it, sound ones are not doubted."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regforest.spatial import LEVELS, PAPER_LEVELS, Landmarks
from regforest.vertebrae.chain_prior import ARCS, default_chain_prior
from regforest.vertebrae.verdict import names_in_doubt, steps_in_doubt

PRIOR = default_chain_prior()


def mean_spine(names=PAPER_LEVELS):
    points, place = {names[0]: np.zeros(3)}, np.zeros(3)
    for upper, lower in itertools.pairwise(names):
        place = place + PRIOR.step_mean_mm[ARCS.index((upper, lower))]
        points[lower] = place
    return points


@pytest.mark.parametrize("extra", [(), ("T13",), ("L6",)])
def test_the_mean_spine_is_not_doubted(extra):
    names = [name for name in LEVELS if name in {*PAPER_LEVELS, *extra}]
    assert steps_in_doubt(Landmarks(mean_spine(names)), PRIOR) == ""


@given(st.sampled_from(PAPER_LEVELS[1:-1]))
def test_a_level_left_out_is_noticed_wherever_it_is(name):
    left = {key: point for key, point in mean_spine().items() if key != name}
    expected = "" if name == "T12" else "no vertebra between"  # a spine may be without T12
    reason = steps_in_doubt(Landmarks(left), PRIOR)
    assert expected in reason
    if name == "T12":
        assert reason in ("", "a vertebra between T11 and L1 may have been passed over")


@given(st.sampled_from(list(itertools.pairwise(PAPER_LEVELS[3:24]))))
def test_a_body_passed_over_without_a_gap_in_the_names_is_noticed(step):
    upper, lower = step
    points, shift = mean_spine(), PRIOR.step_mean_mm[ARCS.index(step)]
    below = PAPER_LEVELS[PAPER_LEVELS.index(lower) :]
    moved = {name: point + shift if name in below else point for name, point in points.items()}
    assert (
        steps_in_doubt(Landmarks(moved), PRIOR) == f"a vertebra between {upper} and {lower} may have been passed over"
    )


def test_a_short_step_is_a_fracture_or_a_doubled_mark_and_passes_nothing_over():
    points = mean_spine(("T11", "T12", "L1"))
    points["L1"] = points["T12"] + [0, 0, -3.0]
    assert steps_in_doubt(Landmarks(points), PRIOR) == ""


def test_one_body_or_none_has_no_steps():
    assert steps_in_doubt(Landmarks({}), PRIOR) == ""
    assert steps_in_doubt(Landmarks({"L3": (0, 0, 0)}), PRIOR) == ""


def test_ranges_follow_the_anatomy_over_rare_levels():
    sure = {"T11": 0.5, "T12": 0.5, "L1": 0.5, "L5": 0.7, "S1": 0.7, "L3": 0.99}
    assert names_in_doubt(sure, 0.9) == "names in doubt: T11-L1, L5-S1 (probability 0.50)"


def test_the_least_probable_name_is_told_even_if_each_is_probable_enough():
    assert names_in_doubt({"L1": 0.97, "L2": 0.95}, 0.9) == "names in doubt: L2 (probability 0.95)"
