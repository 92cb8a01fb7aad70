import json

import pytest

from regforest.evaluation import PUBLISHED_STRUCTURES, PUBLISHED_VERTEBRAE
from regforest.evaluation.published import TWO_FOLD_DATA, UNVERIFIED_NOTE

# vertebrae of both folds by region, as counted in the annotations of the 224 scans
COUNTS = {"cervical": 355 + 264, "thoracic": 599 + 660, "lumbar": 286 + 315, "sacral": 108 + 111}


def test_the_paper_s_rows_are_there_and_marked_as_remembered():
    rows = [row for row in PUBLISHED_VERTEBRAE if row.data == TWO_FOLD_DATA]
    assert [row.name for row in rows] == ["RF+HMM 2012", "MICCAI 2013"]
    assert not any(row.verified for row in rows)
    assert rows[1].regions["all"] == {
        "median_mm": 8.8, "mean_mm": 12.4, "std_mm": 11.2, "identification_rate": 0.70
    }  # fmt: skip


@pytest.mark.parametrize("row", [r for r in PUBLISHED_VERTEBRAE if r.data == TWO_FOLD_DATA], ids=lambda r: r.name)
def test_regions_and_all_agree_through_the_numbers_of_vertebrae(row):
    rates = {region: row.regions[region]["identification_rate"] for region in ("cervical", "thoracic", "lumbar")}
    hits = sum(COUNTS[region] * rate for region, rate in rates.items())
    total = sum(COUNTS.values())
    # the sacral vertebrae have no row of their own: their rate must come out as one
    sacral = (row.regions["all"]["identification_rate"] * total - hits) / COUNTS["sacral"]
    assert 0.2 <= sacral <= 1.0


def test_unverified_rows_say_so_in_the_summary_and_verified_ones_do_not():
    for row in (*PUBLISHED_VERTEBRAE, *PUBLISHED_STRUCTURES):
        entry = row.to_json()
        assert (UNVERIFIED_NOTE in entry["note"]) is (not row.verified)
        assert entry["verified"] is row.verified
        json.dumps(entry, allow_nan=False)


def test_only_rows_read_in_a_public_source_are_verified():
    assert {row.name for row in PUBLISHED_VERTEBRAE if row.verified} == {"Btrfly 2018", "McCouat 2019"}
    assert {row.name for row in PUBLISHED_STRUCTURES if not row.verified} == {
        "Chen TMI 2015", "Chu 2015 (MR)", "Chu 2015 (CT)"
    }  # fmt: skip


def test_rates_and_dice_are_fractions():
    for row in PUBLISHED_VERTEBRAE:
        assert all(0 < region["identification_rate"] < 1 for region in row.regions.values())
    for row in PUBLISHED_STRUCTURES:
        dice = row.measures["dice"]
        assert all(0.8 < value < 1 for value in (dice["range"] if "range" in dice else [dice["mean"]]))
