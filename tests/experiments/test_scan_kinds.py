"""Scans by kind: counts worked out by hand."""

import numpy as np

from experiments.protocol import Outcome
from experiments.scan_kinds import by_kind, kind_remarks, kinds_of, kinds_table
from regforest.spatial import AnnotatedScan, Grid, Landmarks, Localization, Volume


def row(case: str, kinds: list[str], identified: bool, error_mm: float | None) -> dict[str, object]:
    there = error_mm is not None
    return {"case": case, "kinds": kinds, "annotated": True, "predicted": there, "identified": identified,
            "error_mm": error_mm}  # fmt: skip


ROWS = [
    row("a", ["metal", "any of these", "said to be ok"], True, 2.0),
    row("a", ["metal", "any of these", "said to be ok"], False, 30.0),
    row("b", ["none of these", "said to be ok"], True, 4.0),
    row("c", ["few levels", "any of these", "said to be uncertain"], False, None),
    {**row("b", ["none of these", "said to be ok"], False, None), "annotated": False},
]


def test_scans_are_right_when_all_their_levels_are() -> None:
    kinds = by_kind(ROWS)
    assert (kinds["said to be ok"]["cases"], kinds["said to be ok"]["cases_right"]) == (2, 1)
    assert kinds["metal"] == {
        "cases": 1, "cases_right": 0, "annotated": 2, "identified": 1, "identification_rate": 0.5, "mean_mm": 16.0,
    }  # fmt: skip
    assert kinds["few levels"]["mean_mm"] is None
    assert kinds["scoliosis"]["identification_rate"] is None


def test_the_remarks_name_hard_scans_and_those_said_to_be_ok() -> None:
    assert kind_remarks({"kinds": by_kind(ROWS)}) == [
        "Hard scans (metal, scoliosis or few levels, 2): 33.3 % of 3.",
        "Said to be ok: 2 scans, 66.7 % of 3, 1 right.",
    ]
    assert kind_remarks({"kinds": by_kind([])}) == []


def test_the_table_has_a_row_for_each_kind_even_without_scans() -> None:
    table = kinds_table([("this run: forest", {"kinds": by_kind(ROWS)})])
    assert dict(table.rows)["metal"] == [["1", "0.0 %", "50.0 %", "16.0"]]
    assert dict(table.rows)["scoliosis"][0][0] == "0"


def test_a_scan_is_of_the_kinds_that_it_shows_and_of_what_was_said() -> None:
    water = Volume(np.zeros((4, 4, 4), dtype=np.int16), Grid((4, 4, 4), np.eye(4)))
    case = AnnotatedScan("a", "a", {"image": water}, Landmarks({"L1": (1, 1, 1)}))
    outcome = Outcome(Localization(Landmarks({}), "uncertain", "why"))
    assert kinds_of(case, outcome) == ["few levels", "any of these", "said to be uncertain"]
