import numpy as np

from experiments.floor import mask_shapes, mean_shapes, pasted
from regforest.spatial import AnnotatedScan, Grid, Landmarks, Volume

NAMES = {3: "L1/L2", 5: "L2/L3"}


def ellipsoids(grid, centres, radii):
    zyx = np.stack(np.meshgrid(*map(np.arange, grid.shape_zyx), indexing="ij"), axis=-1)
    points = grid.index_to_lps(zyx[..., ::-1])
    labels = np.zeros(grid.shape_zyx, np.uint8)
    for value, centre in zip(NAMES, centres, strict=True):
        labels[(((points - centre) / radii) ** 2).sum(axis=-1) <= 1] = value
    return Volume(labels, grid)


def scan(grid, centres, radii):
    labels = ellipsoids(grid, centres, radii)
    landmarks = Landmarks(dict(zip(NAMES.values(), centres, strict=True)))
    return AnnotatedScan("s", "p", {"image": labels}, landmarks, labels, NAMES)


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def test_the_shape_of_one_scan_is_found_again_on_another_grid():
    straight = Grid.from_parts((60, 60, 60), spacing_mm=(1, 1, 1.5))
    turned = Grid.from_parts((60, 50, 50), (1.5, 1.2, 1.2), (70, 0, 0), [[-1, 0, 0], [0, 0, 1], [0, 1, 0]])
    radii = np.array([15.0, 12.0, 6.0])
    shapes = mask_shapes(scan(straight, ([30, 30, 25], [30, 32, 60]), radii))
    places = np.array([[25.0, 25.0, 25.0], [28.0, 30.0, 52.0]])
    found = pasted(shapes, Landmarks(dict(zip(NAMES.values(), places, strict=True))), turned, NAMES)
    truth = ellipsoids(turned, places, radii)
    for value in NAMES:
        assert dice(found.voxels == value, truth.voxels == value) > 0.93


def test_the_mean_mask_follows_the_majority_of_the_scans():
    grid = Grid.from_parts((50, 50, 50))
    centres = ([25, 25, 12], [25, 25, 37])
    small, large = (scan(grid, centres, [r, r, 6.0]) for r in (8.0, 16.0))
    for scans, like, unlike in (((small, large, large), large, small), ((small, small, large), small, large)):
        found = pasted(mean_shapes(map(mask_shapes, scans)), small.landmarks, grid, NAMES)
        assert dice(found.voxels == 3, like.mask("L1/L2")) > 0.85
        assert dice(found.voxels == 3, unlike.mask("L1/L2")) < 0.6


def test_structures_without_a_centre_or_a_shape_stay_empty_and_borders_are_cut():
    grid = Grid.from_parts((30, 30, 30))
    shapes = mask_shapes(scan(grid, ([15, 15, 10], [15, 15, 25]), [8, 8, 4]))
    found = pasted(shapes, Landmarks({"L1/L2": (29.0, 29.0, 29.0)}), grid, NAMES)
    assert set(np.unique(found.voxels)) == {0, 3}
    outside = pasted(shapes, Landmarks({"L1/L2": (500.0, 0.0, 0.0)}), grid, NAMES)
    assert not outside.voxels.any()
    assert not pasted({}, Landmarks({"L1/L2": (9.0, 9.0, 9.0)}), grid, NAMES).voxels.any()


def test_points_without_masks_have_no_shape():
    grid = Grid.from_parts((4, 4, 4))
    image = Volume(np.zeros((4, 4, 4)), grid)
    assert mask_shapes(AnnotatedScan("s", "p", {"image": image}, Landmarks({"L1": (1, 1, 1)}))) == {}
