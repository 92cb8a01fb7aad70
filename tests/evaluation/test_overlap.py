import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regforest.errors import DataError
from regforest.evaluation import compare_masks, divide_among, evaluate_structures, summarize_structures
from regforest.evaluation.overlap import diagonal_mm
from regforest.spatial import AnnotatedScan, Grid, Landmarks, Volume
from tests.reference import surface_distances

NAMES = {1: "L1/L2", 2: "L2/L3", 3: "L3/L4"}
DIXON = Grid.from_parts((256, 256, 36), spacing_mm=(2.0, 1.25, 1.25))


def boxes(shape, *blocks):
    """Label image with the blocks (slices) numbered from 1."""
    labels = np.zeros(shape, np.uint8)
    for value, block in enumerate(blocks, start=1):
        labels[block] = value
    return labels


def scan_of(labels, grid, names=NAMES, points=None):
    present = {v: n for v, n in names.items() if (labels == v).any()}
    centres = points or {
        n: grid.index_to_lps(np.argwhere(labels == v).mean(axis=0)[::-1]) for v, n in present.items()
    }  # fmt: skip
    image = Volume(np.zeros(grid.shape_zyx, np.int16), grid)
    return AnnotatedScan("case", "patient", {"image": image}, Landmarks(centres), Volume(labels, grid), names)


def test_the_diagonal_of_the_dixon_grid_is_that_of_the_challenge():
    # 36 x 2 = 72 mm, 256 x 1.25 = 320 mm twice: sqrt(72^2 + 320^2 + 320^2) = sqrt(209984)
    assert diagonal_mm(DIXON) == pytest.approx(np.sqrt(209984))
    assert round(diagonal_mm(DIXON), 2) == 458.24


def test_two_boxes_give_the_numbers_worked_out_by_hand():
    # 1 x 1 x 4 voxels of 1 mm at x = 0..3 and x = 2..5: overlap 2 of 4 + 4, all voxels are surface
    a, b = boxes((1, 1, 8), np.s_[:, :, 0:4]), boxes((1, 1, 8), np.s_[:, :, 2:6])
    scores = compare_masks(a > 0, b > 0, Grid.from_parts((1, 1, 8), spacing_mm=(3, 1, 1)))
    assert scores.dice == pytest.approx(2 * 2 / 8)
    # distances of a's voxels to b: 2, 1, 0, 0 voxels; of b's to a: 0, 0, 1, 2; times 3 mm
    assert scores.surface_mm == pytest.approx(6 * 3 / 8)
    assert scores.hausdorff_mm == pytest.approx(6)
    assert scores.centroid_mm == pytest.approx(6)


matrices = st.tuples(st.floats(0.5, 3), st.floats(0.5, 3), st.floats(0.5, 3), st.floats(-0.3, 0.3), st.booleans())
masks = st.integers(0, 10_000)


@given(matrices, masks)
def test_surface_distances_equal_those_over_all_pairs_on_any_grid(parts, seed):
    x, y, z, shear, flip = parts
    matrix = np.array([[x, shear, 0, 5], [0, -y if flip else y, 0, -7], [shear, 0, z, 0], [0, 0, 0, 1.0]])
    rng = np.random.default_rng(seed)
    a, b = rng.random((2, 5, 4, 6)) < 0.3
    a[2, 2, 3] = b[2, 2, 3] = True
    scores = compare_masks(a, b, Grid(a.shape, matrix))
    mean, largest = surface_distances(a, b, matrix)
    assert (scores.surface_mm, scores.hausdorff_mm) == pytest.approx((mean, largest))
    assert scores.dice == pytest.approx(2 * (a & b).sum() / (a.sum() + b.sum()))


@given(masks)
def test_measures_are_symmetric_and_perfect_for_equal_masks(seed):
    a, b = np.random.default_rng(seed).random((2, 6, 5, 4)) < 0.5
    grid = Grid.from_parts(a.shape, spacing_mm=(1, 2, 3))
    forth, back = compare_masks(a, b, grid), compare_masks(b, a, grid)
    assert forth.dice == back.dice
    assert (forth.surface_mm, forth.hausdorff_mm) == pytest.approx((back.surface_mm, back.hausdorff_mm))
    same = compare_masks(a, a, grid)
    assert (same.dice, same.surface_mm, same.hausdorff_mm, same.centroid_mm) == (1, 0, 0, 0)


def test_empty_masks_never_improve_a_mean():
    grid = Grid.from_parts((4, 4, 4))
    none, some = np.zeros((4, 4, 4), bool), np.ones((4, 4, 4), bool)
    for scores in (compare_masks(none, some, grid), compare_masks(some, none, grid)):
        assert scores.dice == 0
        assert scores.surface_mm == scores.hausdorff_mm == scores.centroid_mm == diagonal_mm(grid)
    both = compare_masks(none, none, grid)
    assert np.isnan([both.dice, both.surface_mm, both.hausdorff_mm, both.centroid_mm]).all()


def test_masks_of_another_shape_are_refused():
    grid = Grid.from_parts((4, 4, 4))
    with pytest.raises(DataError, match=r"\(4, 4, 4\).*\(3, 4, 4\)"):
        compare_masks(np.zeros((3, 4, 4), bool), np.zeros((4, 4, 4), bool), grid)


def test_a_structure_below_a_thousandth_of_dice_is_missed_and_counts_with_the_diagonal():
    grid = Grid.from_parts((30, 30, 30))
    reference = boxes((30, 30, 30), np.s_[0:12, 0:12, 0:12])  # 1728 voxels
    predicted = boxes((30, 30, 30), np.s_[12:24, 0:12, 0:12])
    predicted[11, 11, 11] = 1  # overlap 1: Dice 2 / 3457 < 0.001
    scan = scan_of(reference, grid)
    [row] = evaluate_structures(scan, scan.landmarks, Volume(predicted, grid), NAMES)
    assert row.missed
    assert row.localization_mm == row.surface_mm == row.hausdorff_mm == diagonal_mm(grid)
    assert row.landmark_mm == 0
    predicted[11, 11, :11] = 1  # overlap 12: Dice 24 / 3468 > 0.001
    [row] = evaluate_structures(scan, scan.landmarks, Volume(predicted, grid), NAMES)
    assert not row.missed
    assert row.localization_mm == 0


def test_structures_are_matched_by_name_not_by_value():
    grid = Grid.from_parts((9, 9, 20), spacing_mm=(1, 2, 3))
    reference = boxes((9, 9, 20), np.s_[2:5, 2:5, 2:5], np.s_[2:5, 2:5, 12:16])
    renumbered = np.where(reference == 1, 7, np.where(reference == 2, 3, 0)).astype(np.int16)
    scan = scan_of(reference, grid)
    rows = evaluate_structures(scan, scan.landmarks, Volume(renumbered, grid), {7: "L1/L2", 3: "L2/L3"})
    assert [(row.structure, row.dice, row.surface_mm) for row in rows] == [("L1/L2", 1, 0), ("L2/L3", 1, 0)]


def test_a_binary_prediction_is_divided_among_the_nearest_structures():
    grid = Grid.from_parts((1, 1, 20), spacing_mm=(2, 1, 1))
    reference = boxes((1, 1, 20), np.s_[:, :, 2:5], np.s_[:, :, 14:17])
    predicted = np.zeros((1, 1, 20), bool)
    predicted[0, 0, [0, 3, 8, 11, 15, 19]] = True  # 8 is 4 voxels from the first, 6 from the second; 11 is 7 and 3
    divided = divide_among(predicted, reference, grid)
    assert divided[0, 0].nonzero()[0].tolist() == [0, 3, 8, 11, 15, 19]
    assert divided[0, 0, [0, 3, 8, 11, 15, 19]].tolist() == [1, 1, 1, 2, 2, 2]
    scan = scan_of(reference, grid)
    rows = evaluate_structures(scan, scan.landmarks, Volume(predicted.astype(np.uint8), grid), {})
    assert [row.dice for row in rows] == [pytest.approx(2 * 1 / 6), pytest.approx(2 * 1 / 6)]


@given(masks)
def test_division_takes_the_structure_with_the_nearest_voxel(seed):
    rng = np.random.default_rng(seed)
    reference = (rng.random((4, 5, 6)) < 0.1) * rng.integers(1, 4, (4, 5, 6))
    predicted = rng.random((4, 5, 6)) < 0.5
    grid = Grid.from_parts((4, 5, 6), spacing_mm=(0.7, 1.9, 3.1))
    divided = divide_among(predicted, reference, grid)
    foreground = np.argwhere(reference > 0)
    assert (divided[~predicted] == 0).all()
    for voxel in np.argwhere(predicted) if len(foreground) else []:
        away = np.linalg.norm((foreground - voxel) * [3.1, 1.9, 0.7], axis=1)
        nearest = {reference[tuple(v)] for v in foreground[away <= away.min() + 1e-9]}
        assert divided[tuple(voxel)] in nearest


def test_points_without_masks_are_judged_by_distance_alone():
    grid = Grid.from_parts((10, 10, 10))
    scan = scan_of(np.zeros((10, 10, 10), np.uint8), grid, points={"L1": (1, 1, 1), "L2": (5, 5, 5)})
    rows = evaluate_structures(scan, Landmarks({"L1": (1, 1, 3)}), None, {})
    assert [row.localization_mm for row in rows] == [2, diagonal_mm(grid)]
    summary = summarize_structures(rows)
    assert summary["dice"]["mean"] is summary["surface_mm"]["mean"] is None
    assert summary["missed"] == 1


def test_a_segmentation_on_another_grid_is_refused_with_the_case_named():
    grid = Grid.from_parts((4, 4, 4))
    scan = scan_of(boxes((4, 4, 4), np.s_[:2, :2, :2]), grid)
    moved = Volume(np.ones((4, 4, 4), np.uint8), Grid.from_parts((4, 4, 4), origin_mm=(1, 0, 0)))
    with pytest.raises(DataError, match="case: the segmentation"):
        evaluate_structures(scan, scan.landmarks, moved, NAMES)


def test_a_dixon_case_with_seven_discs_is_judged_in_well_under_a_second():
    names = {i: f"L{i}/L{i + 1}" for i in range(1, 6)} | {6: "T12/L1", 7: "T11/T12"}
    blocks = [np.s_[20 + 30 * i : 30 + 30 * i, 100:128, 8:28] for i in range(7)]
    reference = boxes(DIXON.shape_zyx, *blocks)
    predicted = np.roll(reference, (1, 2, 1), axis=(0, 1, 2))
    scan = scan_of(reference, DIXON, names)
    evaluate_structures(scan, scan.landmarks, Volume(predicted, DIXON), names)
    start = time.perf_counter()
    rows = evaluate_structures(scan, scan.landmarks, Volume(predicted, DIXON), names)
    assert time.perf_counter() - start < 1
    assert len(rows) == 7
    assert all(0.7 < r.dice < 0.9 and r.centroid_mm == pytest.approx(np.sqrt(4 + 6.25 + 1.5625)) for r in rows)
