import numpy as np

from regforest.spatial import LEVELS, Grid, Landmarks
from regforest.vertebrae.candidates import CandidateSettings, find_candidates
from regforest.vertebrae.dense_labels import CLASSES, label_distribution

GRID = Grid.from_parts((50, 30, 30), (3, 3, 3), (-45, -45, -75))
SPINE = Landmarks({"T12": (2, 0, 40), "L1": (0, 1, 8), "L2": (-3, 4, -26)})


def perfect_maps(landmarks):
    z, y, x = np.indices(GRID.shape_zyx)
    points = GRID.index_to_lps(np.stack([x, y, z], axis=-1).reshape(-1, 3))
    return label_distribution(points, landmarks).T.reshape(len(CLASSES), *GRID.shape_zyx)


def test_perfect_maps_give_one_candidate_on_each_body():
    found = find_candidates(np.ascontiguousarray(perfect_maps(SPINE)), GRID, CandidateSettings())
    assert len(found.points_lps_mm) == len(SPINE)
    for name, centre in SPINE.items():
        distance = np.linalg.norm(found.points_lps_mm - centre, axis=1)
        nearest = distance.argmin()
        assert distance[nearest] < 1.0
        assert LEVELS[found.level_log_scores[nearest].argmax()] == name


def test_a_body_whose_name_is_in_doubt_is_found_once_with_both_names():
    maps = perfect_maps(SPINE)
    shifted = perfect_maps(Landmarks({"T11": SPINE["T12"], "T12": SPINE["L1"], "L1": SPINE["L2"]}))
    found = find_candidates(np.ascontiguousarray((maps + shifted) / 2), GRID, CandidateSettings())
    assert len(found.points_lps_mm) == len(SPINE)
    middle = np.linalg.norm(found.points_lps_mm - SPINE["L1"], axis=1).argmin()
    best_two = {LEVELS[i] for i in np.argsort(found.level_log_scores[middle])[-3:]}
    assert {"T12", "L1"} <= best_two


def test_maps_of_background_alone_give_no_candidate():
    maps = np.zeros((len(CLASSES), *GRID.shape_zyx), np.float32)
    maps[-1] = 1
    found = find_candidates(maps, GRID, CandidateSettings())
    assert found.points_lps_mm.shape == (0, 3)
    assert found.level_log_scores.shape == (0, len(LEVELS))
