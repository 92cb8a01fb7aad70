import numpy as np
import pytest

from regforest.evaluation import evaluate_structures, summarize_structures
from regforest.evaluation.structures import StructureRow
from regforest.spatial import AnnotatedScan, Grid, Landmarks, Volume


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


GRID = Grid.from_parts((6, 8, 10), spacing_mm=(1, 2, 3))
DIAGONAL_MM = np.sqrt((10 * 1) ** 2 + (8 * 2) ** 2 + (6 * 3) ** 2)


def labels(**boxes):
    """Label image with a box of voxels for each structure, numbered in order: slices along z, y, x."""
    voxels = np.zeros(GRID.shape_zyx, np.uint8)
    for value, box in enumerate(boxes.values(), start=1):
        voxels[box] = value
    return Volume(voxels, GRID), dict(enumerate(boxes, start=1))


def annotated(points, **boxes):
    volume, names = labels(**boxes)
    return AnnotatedScan("case", "someone", {"image": Volume(np.zeros(GRID.shape_zyx), GRID)}, points, volume, names)


def test_a_structure_is_judged_by_its_located_centre_and_its_mask():
    truth = annotated(Landmarks({"L1": (2, 2, 3)}), L1=np.s_[1:2, 1:2, 2:4])
    found, names = labels(L1=np.s_[1:2, 1:2, 3:5])
    (judged,) = evaluate_structures(truth, Landmarks({"L1": (5, 2, 7)}), found, names)
    assert (judged.structure, judged.case, judged.patient, judged.missed) == ("L1", "case", "someone", False)
    assert (judged.localization_mm, judged.landmark_mm) == (5.0, 5.0)
    assert (judged.dice, judged.centroid_mm, judged.hausdorff_mm, judged.surface_mm) == (0.5, 1.0, 1.0, 0.5)


def test_a_structure_without_centre_or_without_overlap_is_missed_and_costs_the_diagonal():
    truth = annotated(
        Landmarks({"L1": (2, 2, 3), "L2": (2, 2, 12)}), L1=np.s_[1:2, 1:2, 2:4], L2=np.s_[4:5, 1:2, 2:4]
    )
    found, names = labels(L1=np.s_[1:2, 1:2, 2:4], L2=np.s_[0:1, 7:8, 9:10])
    unlocated, elsewhere = evaluate_structures(truth, Landmarks({"L2": (2, 2, 13)}), found, names)
    assert unlocated.missed
    assert elsewhere.missed
    assert (unlocated.localization_mm, elsewhere.localization_mm) == pytest.approx((DIAGONAL_MM, DIAGONAL_MM))
    assert unlocated.dice == 1.0
    assert np.isnan(unlocated.landmark_mm)
    assert (elsewhere.dice, elsewhere.landmark_mm) == (0.0, 1.0)
    assert elsewhere.surface_mm == pytest.approx(DIAGONAL_MM)


def test_without_masks_the_centres_alone_are_judged():
    truth = annotated(Landmarks({"L1": (2, 2, 3)}), L1=np.s_[1:2, 1:2, 2:4])
    (judged,) = evaluate_structures(truth, Landmarks({"L1": (2, 2, 4)}), None, {})
    assert (judged.localization_mm, judged.missed) == (1.0, False)
    assert np.isnan([judged.dice, judged.surface_mm, judged.hausdorff_mm, judged.centroid_mm]).all()
