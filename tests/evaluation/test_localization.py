"""Localization metrics against numbers worked out by hand.

The pair in data/ (grid millimetres, one scan), x y z:

        annotated          predicted          error   nearest annotated   nearest predicted
                                                      to the prediction   to the annotation
    T11 100 100 200        103 104 200         5      T11 at  5           T11 at  5
    T12 100 100 170        100 100 150        20      L1  at 10           T12 at 20
    L1  100 100 140        100 100 116        24      L2  at 11           T12 at 10
    L2  100 100 105        100 112 100        13      L2  at 13           L1  at 11
    S1  100 110  10        -                   -      -                   L5  at 31.6
    L5  -                  100 100  40         -      -                   -

closest-annotation identifies T11 and L2, closest-prediction T11 and T12 (20 mm counts): 2 of 5 = 0.4 each.
Errors 5, 13, 20, 24: median 16.5, mean 62 / 4 = 15.5, variance (110.25 + 6.25 + 20.25 + 72.25) / 4 = 52.25.
Lumbar errors 24, 13: mean 18.5, standard deviation 5.5. S1 is missed, L5 a false alarm in the gap from L2 to S1.
"""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regforest.errors import FrameError, UsageError
from regforest.evaluation import evaluate_case, summarize
from regforest.evaluation.localization import LevelRow
from regforest.io import read_landmarks
from regforest.spatial import LEVELS, Grid, Landmarks

DATA = Path(__file__).parent / "data"


@pytest.fixture
def pair() -> tuple[Landmarks, Landmarks]:
    predicted = read_landmarks(DATA / "predicted" / "4500001_centroids_conf.lml")
    return predicted, read_landmarks(DATA / "reference" / "4500001.lml")


def names_of(rows: list[LevelRow]) -> list[str]:
    return [row.level for row in rows if row.identified]


def test_the_pair_gives_the_numbers_worked_out_by_hand(pair):
    regions = summarize(evaluate_case(*pair, case="4500001", patient="1"))
    every = regions["all"]
    counts = {key: every[key] for key in ("annotated", "predicted", "identified", "missed", "false_alarms")}
    assert counts == {"annotated": 5, "predicted": 5, "identified": 2, "missed": 1, "false_alarms": 1}
    assert every["identification_rate"] == 0.4
    assert every["median_mm"] == pytest.approx(16.5)
    assert every["mean_mm"] == pytest.approx(15.5)
    assert every["std_mm"] == pytest.approx(np.sqrt(52.25))
    assert every["false_alarms_in_gaps"] == 1
    assert (regions["lumbar"]["mean_mm"], regions["lumbar"]["std_mm"]) == pytest.approx((18.5, 5.5))
    assert regions["lumbar"]["identification_rate"] == 0.5


def test_the_two_definitions_identify_different_levels(pair):
    assert names_of(evaluate_case(*pair)) == ["T11", "L2"]
    assert names_of(evaluate_case(*pair, "closest-annotation")) == ["T11", "L2"]
    assert names_of(evaluate_case(*pair, "closest-prediction")) == ["T11", "T12"]


def test_undefined_numbers_are_none_and_counts_are_zero(pair):
    regions = summarize(evaluate_case(*pair))
    sacral, cervical = regions["sacral"], regions["cervical"]
    assert (sacral["annotated"], sacral["missed"], sacral["identification_rate"]) == (1, 1, 0.0)
    assert sacral["mean_mm"] is sacral["median_mm"] is sacral["std_mm"] is None
    assert cervical["annotated"] == 0
    assert cervical["identification_rate"] is None
    assert list(regions) == ["all", "cervical", "thoracic", "lumbar", "sacral"]


def test_frames_must_not_be_mixed(pair):
    predicted, reference = pair
    in_world = reference.to_lps(Grid.from_parts((300, 200, 200)))
    with pytest.raises(FrameError, match=r"case7.*'grid'.*'LPS'"):
        evaluate_case(predicted, in_world, case="case7")


def test_an_empty_prediction_misses_everything_in_any_frame(pair):
    rows = evaluate_case(Landmarks({}), pair[1])
    assert all(row.missed for row in rows)
    assert summarize(rows)["all"]["identification_rate"] == 0.0


def test_an_unknown_definition_is_refused(pair):
    with pytest.raises(UsageError, match="closest-annotation, closest-prediction"):
        evaluate_case(*pair, "nearest")


def test_a_prediction_further_than_20_mm_is_not_identified():
    truth = Landmarks({"L1": (0, 0, 0)})
    assert names_of(evaluate_case(Landmarks({"L1": (0, 0, 20.0)}), truth)) == ["L1"]
    assert names_of(evaluate_case(Landmarks({"L1": (0, 0, 20.001)}), truth)) == []


@pytest.mark.parametrize(
    ("annotated", "extra", "in_gap"),
    [
        (["T6", "T11"], "T8", True),
        (["T12", "L1"], "T13", False),
        (["L5", "S1"], "L6", False),
        (["T12", "L1"], "L3", False),
        (["L1/L2", "L4/L5"], "L2/L3", True),
        (["T12/L1", "L1/L2"], "T13/L1", False),
    ],
)
def test_only_a_missing_ordinary_level_makes_a_gap(annotated, extra, in_gap):
    truth = Landmarks({name: (0, 0, -40 * i) for i, name in enumerate(annotated)})
    [row] = [r for r in evaluate_case(Landmarks({extra: (0, 0, 5)}), truth) if r.level == extra]
    assert row.false_alarm
    assert row.in_gap is in_gap


chains = st.dictionaries(st.sampled_from(LEVELS), st.tuples(*[st.floats(-200, 200)] * 3), min_size=1, max_size=8).map(
    Landmarks
)


@given(chains, chains)
def test_definitions_agree_with_a_loop_over_all_pairs(predicted, reference):
    def closest(point, candidates):
        return min(candidates, key=lambda name: np.linalg.norm(candidates[name] - point))

    by_annotation = {
        n for n in reference if n in predicted
        and closest(predicted[n], reference) == n and np.linalg.norm(predicted[n] - reference[n]) <= 20
    }  # fmt: skip
    by_prediction = {
        n for n in reference if n in predicted
        and closest(reference[n], predicted) == n and np.linalg.norm(predicted[n] - reference[n]) <= 20
    }  # fmt: skip
    assert set(names_of(evaluate_case(predicted, reference))) == by_annotation
    assert set(names_of(evaluate_case(predicted, reference, "closest-prediction"))) == by_prediction


@given(chains, chains)
def test_every_level_is_counted_once(predicted, reference):
    every = summarize(evaluate_case(predicted, reference), resamples=10)["all"]
    assert every["annotated"] == len(reference)
    assert every["predicted"] == len(predicted)
    assert every["annotated"] - every["missed"] == every["predicted"] - every["false_alarms"]
    assert every["identified"] <= every["annotated"] - every["missed"]


def test_rates_carry_an_interval_over_patients():
    truth = Landmarks({"L1": (0, 0, 0)})
    rows = []
    for i in range(10):
        found = Landmarks({"L1": (0, 0, i)}) if i < 7 else Landmarks({})
        rows += evaluate_case(found, truth, case=str(i), patient=f"p{i}")
    every = summarize(rows)["all"]
    low, high = every["interval"]
    assert 0.3 <= low < 0.7 < high <= 1.0
    assert every["mean_mm_interval"][0] < every["mean_mm"] < every["mean_mm_interval"][1]


def test_one_patient_gives_no_interval(pair):
    assert summarize(evaluate_case(*pair, case="a", patient="p"))["all"]["interval"] is None
