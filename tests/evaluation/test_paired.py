import numpy as np
import pytest

from regforest.evaluation import LevelRow, PatientBootstrap, compare_levels, evaluate_case, paired_difference
from regforest.spatial import Landmarks

TRUTH = {
    "a": {"L1": (0, 0, 90), "L2": (0, 0, 60), "L3": (0, 0, 30)},
    "b": {"T1": (0, 0, 30), "T2": (0, 0, 0)},
}


def judged(found, case, patient=""):
    return evaluate_case(Landmarks(found), Landmarks(TRUTH[case]), case=case, patient=patient)


def test_differences_are_those_worked_out_by_hand():
    # ours: L1 3 mm off, L2 missed, L3 right; theirs: L1 5 mm off, L2 right, L3 missed and T12 too much
    ours = judged({"L1": (3, 0, 90), "L3": (0, 0, 30)}, "a", "p") + judged({"T1": (0, 0, 30)}, "b", "q")
    theirs = judged({"L1": (5, 0, 90), "L2": (0, 0, 60), "T12": (0, 0, 120)}, "a", "p") + judged(TRUTH["b"], "b", "q")
    found = compare_levels(ours, theirs)
    every = found["regions"]["all"]
    assert every["identification_rate"]["pairs"] == 5
    assert every["identification_rate"]["difference"] == pytest.approx((0 - 1 + 1 + 0 - 1) / 5)
    assert every["mean_mm"]["pairs"] == 2  # L1 and T1
    assert every["mean_mm"]["difference"] == pytest.approx((-2 + 0) / 2)
    assert found["regions"]["cervical"]["mean_mm"] == {"pairs": 0, "difference": None, "interval": None}
    assert [(row["case"], row["lost"]) for row in found["by_case"]] == [("b", 1), ("a", 0)]
    assert found["by_case"][0] == {
        "case": "b", "annotated": 2, "lost": 1, "identified": 1, "their_identified": 2, "mean_mm": 0.0,
        "their_mean_mm": 0.0,
    }  # fmt: skip


def test_scans_that_only_one_has_are_left_out():
    found = compare_levels(judged(TRUTH["a"], "a") + judged(TRUTH["b"], "b"), judged(TRUTH["a"], "a"))
    assert (found["cases"], found["regions"]["all"]["identification_rate"]["pairs"]) == (1, 3)
    assert compare_levels([], [])["regions"]["all"]["mean_mm"]["difference"] is None


def test_the_interval_of_a_constant_gain_has_no_width_although_patients_differ():
    rng = np.random.default_rng(0)
    theirs = [
        LevelRow("L1", "lumbar", True, True, True, float(mm), case=f"c{i}", patient=f"p{i // 2}")
        for i, mm in enumerate(rng.uniform(2, 30, 40))
    ]
    ours = [LevelRow(**{**vars(row), "error_mm": row.error_mm - 1}) for row in theirs]
    found = compare_levels(ours, theirs)["regions"]["all"]
    assert found["mean_mm"]["difference"] == pytest.approx(-1)
    np.testing.assert_allclose(found["mean_mm"]["interval"], [-1, -1])
    assert found["identification_rate"]["interval"] == [0, 0]


def test_the_patient_is_drawn_and_not_the_level():
    values = np.repeat([0.0, 1.0, 2.0, 3.0], 50)
    owners = [f"p{i // 50}" for i in range(200)]
    found = paired_difference(values, np.zeros(200), owners, PatientBootstrap(owners))
    low, high = found["interval"]
    assert high - low > 1.5  # levels as independent draws would give 0.3


def test_where_most_is_lost_comes_first_and_ties_go_by_the_error():
    def row(case, hit, mm):
        return LevelRow("L1", "lumbar", True, True, hit, mm, case=case)

    ours = [row("a", True, 9.0), row("b", False, 40.0), row("c", True, 12.0)]
    theirs = [row("a", True, 2.0), row("b", True, 3.0), row("c", True, 3.0)]
    assert [found["case"] for found in compare_levels(ours, theirs)["by_case"]] == ["b", "c", "a"]
