"""Labels on the right voxels: by header, or by the edges when headers disagree."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from regforest.datasets.masks import centroids, edge_score, grids_agree, labels_on_grid
from regforest.errors import DataError
from regforest.spatial import Grid, Volume

GRID = Grid.from_parts((40, 36, 32), spacing_mm=(1.0, 1.0, 1.0), origin_mm=(5, -3, 10))


def blocks() -> np.ndarray:
    mask = np.zeros(GRID.shape_zyx, np.uint8)
    mask[8:14, 10:26, 8:24] = 1
    mask[22:29, 11:27, 8:24] = 2
    return mask


def picture(mask: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(1).normal(0, 8, mask.shape)
    return ndimage.gaussian_filter(200.0 * (mask > 0), 0.7) + noise


def moved(grid: Grid, shift_mm: tuple[float, float, float]) -> Grid:
    matrix = grid.matrix.copy()
    matrix[:3, 3] += shift_mm
    return Grid(grid.shape_zyx, matrix)


def test_matrices_that_differ_by_less_than_a_thousandth_agree() -> None:
    assert grids_agree(GRID, moved(GRID, (9e-4, 0, 0)))
    assert not grids_agree(GRID, moved(GRID, (2e-3, 0, 0)))
    assert not grids_agree(GRID, GRID.cropped((0, 0, 0), (39, 36, 32)))


def test_the_edge_score_is_highest_where_the_border_lies_on_the_edge() -> None:
    mask, voxels = blocks(), picture(blocks())
    scores = [edge_score(np.roll(mask, shift, axis=0), [voxels]) for shift in (-3, -2, -1, 0, 1, 2, 3)]
    assert int(np.argmax(scores)) == 3
    assert edge_score(np.zeros_like(mask), [voxels]) == 0.0


def test_the_edge_score_does_not_depend_on_the_images_scale() -> None:
    mask, voxels = blocks(), picture(blocks())
    assert edge_score(mask, [voxels * 7]) == pytest.approx(edge_score(mask, [voxels]), rel=1e-3)


def test_voxels_correspond_when_the_labels_header_is_wrong() -> None:
    labels = Volume(blocks(), moved(GRID, (0, 4, 6)))
    found, note = labels_on_grid(labels, {"image": Volume(picture(blocks()), GRID)}, "a.nii")
    np.testing.assert_array_equal(found.voxels, blocks())
    assert found.grid == GRID
    assert "voxel by voxel" in note
    assert "7.2 mm" in note
    assert "a.nii" in note


def test_positions_in_space_correspond_when_the_voxels_do_not() -> None:
    # the label file starts 5 voxels further up: the same shape, other voxels
    shifted = np.roll(blocks(), -5, axis=0)
    labels = Volume(shifted, moved(GRID, (0, 0, 5)))
    found, note = labels_on_grid(labels, {"image": Volume(picture(blocks()), GRID)}, "a.nii")
    np.testing.assert_array_equal(found.voxels, blocks())
    assert "in space" in note


def test_labels_stored_in_another_axis_direction_are_turned() -> None:
    matrix = GRID.matrix.copy()
    matrix[:3, 3] = GRID.index_to_lps([0, 0, 39])
    matrix[:3, 2] *= -1
    labels = Volume(blocks()[::-1].copy(), Grid(GRID.shape_zyx, matrix))
    found, _ = labels_on_grid(labels, {"image": Volume(picture(blocks()), GRID)}, "a.nii")
    np.testing.assert_array_equal(found.voxels, blocks())


def test_another_shape_is_refused() -> None:
    labels = Volume(blocks()[:-1], GRID.cropped((0, 0, 0), (39, 36, 32)))
    with pytest.raises(DataError, match=r"a\.nii.*shape"):
        labels_on_grid(labels, {"image": Volume(picture(blocks()), GRID)}, "a.nii")


def test_centroids_are_means_of_voxel_centres_on_oblique_grids_too() -> None:
    turn = np.deg2rad(20)
    axes = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, -1.0]])
    grid = Grid.from_parts(GRID.shape_zyx, (2, 1, 1.25), (3, 4, 5), axes)
    found = centroids(Volume(blocks(), grid), {1: "L1", 2: "L2", 3: "L3"})
    assert list(found) == ["L1", "L2"]
    points = [grid.index_to_lps([x, y, z]) for z in range(8, 14) for y in range(10, 26) for x in range(8, 24)]
    np.testing.assert_allclose(found["L1"], np.mean(points, axis=0), atol=1e-9)
