from collections import Counter

from regforest.evaluation import confusion

SPINE = {"T12": (0, 0, 30), "L1": (0, 0, 0), "L2": (0, 0, -35)}


def test_a_level_is_called_what_the_closest_prediction_is_called():
    shifted = {"T11": (0, 0, 31), "T12": (2, 0, 1), "L1": (0, 3, -35)}
    assert confusion([(SPINE, shifted)]) == Counter({("T12", "T11"): 1, ("L1", "T12"): 1, ("L2", "L1"): 1})


def test_a_prediction_further_off_than_20_mm_names_nothing():
    assert confusion([(SPINE, {"L1": (20, 0, 0)})])["L1", "L1"] == 1
    assert confusion([(SPINE, {"L1": (20.1, 0, 0)})]) == Counter({(level, None): 1 for level in SPINE})


def test_cases_are_counted_together_and_empty_ones_are_missed():
    counts = confusion([(SPINE, SPINE), (SPINE, {}), ({}, SPINE)])
    assert counts["L1", "L1"] == counts["L1", None] == 1
    assert sum(counts.values()) == 6
