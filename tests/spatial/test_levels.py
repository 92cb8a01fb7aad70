import itertools

import pytest

from regforest.errors import LevelError
from regforest.spatial import DISCS, LEVELS, PAPER_LEVELS, level, level_of_number, sort_levels
from regforest.spatial.levels import anatomical_order


def test_there_are_28_vertebrae_26_of_them_in_the_paper():
    assert len(LEVELS) == 28
    assert len(PAPER_LEVELS) == 26
    assert set(LEVELS) - set(PAPER_LEVELS) == {"T13", "L6"}
    assert (LEVELS[0], LEVELS[-1]) == ("C1", "S2")


@pytest.mark.parametrize(
    ("name", "number"),
    [("C1", 1), ("C7", 7), ("T1", 8), ("T12", 19), ("L1", 20), ("L6", 25), ("S1", 26), ("T13", 28), ("S2", 29),
     ("L4/L5", 123), ("T12/L1", 119), ("L5/S1", 124)],
)  # fmt: skip
def test_numbers_are_those_of_verse(name, number):
    assert level(name).number == number
    assert level_of_number(number).name == name


def test_t13_stands_between_t12_and_l1_whatever_its_number():
    assert sort_levels(["S1", "L1", "T13", "L6", "T12", "L5"]) == ["T12", "T13", "L1", "L5", "L6", "S1"]
    assert list(LEVELS) == sort_levels(reversed(LEVELS))


def test_discs_lie_between_their_vertebrae():
    for name in DISCS:
        upper, lower = name.split("/")
        assert anatomical_order(upper) < anatomical_order(name) < anatomical_order(lower)
        assert level(name).is_disc
        assert level(name).region == level(upper).region


@pytest.mark.parametrize(
    ("name", "region"), [("C3", "cervical"), ("T13", "thoracic"), ("L6", "lumbar"), ("S2", "sacral")]
)
def test_regions_follow_the_first_letter(name, region):
    assert level(name).region == region


def test_case_and_blanks_do_not_matter():
    assert level(" l3 ").name == "L3"
    assert level("l3/l4").name == "L3/L4"


@pytest.mark.parametrize(
    ("wrong", "right"), [("T14", "T"), ("LL3", "L3"), ("TH5", "T5"), ("L9", "L6"), ("L3-L4", "L3/L4")]
)
def test_an_unknown_name_brings_the_nearest_right_one(wrong, right):
    with pytest.raises(LevelError, match=f"{wrong}.*did you mean '{right}"):
        level(wrong)


@pytest.mark.parametrize("number", [0, 27, 30, 101, -1])
def test_an_unknown_number_is_refused(number):
    with pytest.raises(LevelError, match=str(number)):
        level_of_number(number)


def test_neighbours_differ_in_lightness():
    lightness = [sum(level(name).colour) for name in LEVELS]
    assert all(abs(a - b) > 0.1 for a, b in itertools.pairwise(lightness))
    assert all(0 <= part <= 1 for name in (*LEVELS, *DISCS) for part in level(name).colour)
