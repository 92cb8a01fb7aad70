import numpy as np
import pytest

from regforest.evaluation import summarize_structures
from regforest.evaluation.structures import StructureRow


def row(case, structure, localization, dice, surface, missed=False, patient=None):
    distances = {"surface_mm": surface, "hausdorff_mm": 2 * surface, "centroid_mm": localization}
    return StructureRow(
        structure, localization, dice, **distances, landmark_mm=localization, missed=missed, case=case,
        patient=patient or case,
    )  # fmt: skip


def test_dice_and_surface_are_averaged_over_a_case_first_and_localization_pools_everything():
    rows = [
        row("a", "L1/L2", 1.0, 0.8, 1.0),
        row("a", "L2/L3", 3.0, 0.6, 3.0),
        row("a", "L3/L4", 5.0, 0.4, 5.0),
        row("b", "L1/L2", 7.0, 1.0, 0.0),
    ]
    summary = summarize_structures(rows)
    assert summary["dice"]["mean"] == pytest.approx((0.6 + 1.0) / 2)
    assert summary["surface_mm"]["mean"] == pytest.approx((3.0 + 0.0) / 2)
    assert summary["dice"]["min"] == 0.4
    assert summary["dice"]["std"] == pytest.approx(np.std([0.8, 0.6, 0.4, 1.0]))
    localization = summary["localization_mm"]
    assert (localization["mean"], localization["median"], localization["max"]) == (4.0, 4.0, 7.0)
    found = {key: summary["found_within"][key] for key in ("2mm", "4mm", "6mm")}
    assert found == {"2mm": 0.25, "4mm": 0.5, "6mm": 0.75}
    first = summary["structures"]["L1/L2"]
    assert first["localization_mm"]["mean"] == 4.0
    assert first["dice"]["mean"] == pytest.approx(0.9)
    assert list(summary["structures"]) == ["L1/L2", "L2/L3", "L3/L4"]


def test_intervals_resample_patients():
    rows = [row(f"{p}{s}", "L1/L2", p + 1.0, 0.9 - p / 100, 1.0, patient=str(p)) for p in range(8) for s in "ab"]
    summary = summarize_structures(rows)
    low, high = summary["localization_mm"]["interval"]
    assert 1 < low < summary["localization_mm"]["mean"] < high < 8
    assert summary["dice"]["interval"][0] < summary["dice"]["mean"] < summary["dice"]["interval"][1]
