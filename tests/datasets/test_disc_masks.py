"""Binary masks taken apart into discs, and patients recognised by them."""

from __future__ import annotations

import numpy as np
import pytest

from regforest.datasets.disc_masks import DISC_NAMES, disc_measures, pair_scans, split_discs
from regforest.errors import DataError
from regforest.spatial import Grid, Volume

SHAPE = (100, 40, 24)
UPRIGHT = Grid.from_parts(SHAPE, spacing_mm=(2.0, 1.25, 2.5))
HEADS_FIRST = Grid.from_parts(SHAPE, spacing_mm=(2.0, 1.25, 2.5), direction=np.diag([1.0, 1.0, -1.0]))


def stack(sizes: list[int] | None = None) -> np.ndarray:
    """Seven flat boxes, of 4 to 10 rows' depth, 13 apart along z."""
    mask = np.zeros(SHAPE, np.uint8)
    for i, depth in enumerate(sizes or [10, 12, 14, 16, 18, 20, 22]):
        mask[5 + 13 * i : 10 + 13 * i, 8 : 8 + depth, 4:20] = 1
    return mask


def test_discs_are_numbered_from_the_head_down_whatever_the_axis_direction() -> None:
    for grid, rising in ((UPRIGHT, False), (HEADS_FIRST, True)):
        labels, note = split_discs(Volume(stack(), grid), "a")
        along_z = [int(labels.voxels[7 + 13 * i, 10, 10]) for i in range(7)]
        assert along_z == (list(range(1, 8)) if rising else list(range(7, 0, -1)))
        assert note == ""
        assert np.array_equal(labels.voxels > 0, stack() > 0)


def test_discs_that_run_obliquely_backwards_are_in_order() -> None:
    mask = np.zeros((80, 120, 20), np.uint8)
    for i in range(7):
        mask[4 + 10 * i : 8 + 10 * i, 2 + 15 * i : 14 + 15 * i, 3:17] = 1
    labels, _ = split_discs(Volume(mask, Grid.from_parts(mask.shape)), "a")
    assert [int(labels.voxels[5 + 10 * i, 5 + 15 * i, 5]) for i in range(7)] == [7, 6, 5, 4, 3, 2, 1]


def test_specks_are_dropped() -> None:
    mask = stack()
    mask[0, 0, 0] = mask[50, 36:39, 1] = 1
    labels, note = split_discs(Volume(mask, UPRIGHT), "a")
    assert note == ""
    assert np.array_equal(labels.voxels > 0, stack() > 0)


def test_touching_discs_are_split_and_it_is_said() -> None:
    mask = stack()
    mask[10:18, 10, 10] = 1  # a thread between two discs
    labels, note = split_discs(Volume(mask, UPRIGHT), "a.nii")
    assert note == "a.nii: touching discs were split"
    assert [int(labels.voxels[7 + 13 * i, 10, 10]) for i in range(7)] == [7, 6, 5, 4, 3, 2, 1]
    clean = stack() > 0
    np.testing.assert_array_equal(labels.voxels[clean], split_discs(Volume(stack(), UPRIGHT), "a")[0].voxels[clean])


@pytest.mark.parametrize("count", [0, 1, 6])
def test_fewer_than_seven_discs_are_refused(count: int) -> None:
    mask = stack()
    mask[3 + 13 * count :] = 0
    with pytest.raises(DataError, match=rf"a\.nii.*seven.*found {count} large"):
        split_discs(Volume(mask, UPRIGHT), "a.nii")


def test_discs_grown_together_for_good_are_refused() -> None:
    mask = stack()
    mask[5:23, 8:18, 4:20] = 1
    with pytest.raises(DataError, match="found 6 large"):
        split_discs(Volume(mask, UPRIGHT), "a.nii")


def test_eight_discs_are_refused_because_names_would_be_a_guess() -> None:
    mask = stack()
    mask[96:99, 8:28, 4:20] = 1
    with pytest.raises(DataError, match="found 8 large"):
        split_discs(Volume(mask, UPRIGHT), "a.nii")


def test_measures_do_not_change_when_the_person_moves() -> None:
    labels, _ = split_discs(Volume(stack(), UPRIGHT), "a")
    turn = np.deg2rad(10)
    axes = np.array([[1, 0, 0], [0, np.cos(turn), -np.sin(turn)], [0, np.sin(turn), np.cos(turn)]])
    elsewhere = Grid.from_parts(SHAPE, UPRIGHT.spacing_mm, (40, -30, 200), axes)
    np.testing.assert_allclose(disc_measures(labels), disc_measures(Volume(labels.voxels, elsewhere)), atol=1e-9)
    # distances of neighbouring centres by hand: 13 rows of 2.5 mm and 1 column of 1.25 mm
    np.testing.assert_allclose(np.exp(disc_measures(labels)[-6:]), np.hypot(32.5, 1.25))
    assert disc_measures(labels).shape == (27,)


def test_stages_of_one_person_are_paired_in_any_order() -> None:
    rng = np.random.default_rng(3)
    people = rng.normal(0, 0.1, (8, 27))
    order = rng.permutation(16)
    scans = {
        f"{place:02d}": people[i % 8] + rng.normal(0, 0.02, 27) for place, i in zip(range(16), order, strict=True)
    }
    person = {f"{place:02d}": i % 8 for place, i in zip(range(16), order, strict=True)}
    pairs = pair_scans(scans)
    assert len(pairs) == 8
    assert sorted(name for pair in pairs for name in pair[:2]) == sorted(scans)
    for first, second, difference, other in pairs:
        assert person[first] == person[second]
        assert difference < other / 2


def test_the_pairing_has_the_least_sum_not_the_first_best_pair() -> None:
    # on a line at 0, 1, 1.9 and 10: the nearest two (1, 1.9) would leave 0 with 10
    scans = {name: np.full(27, place) for name, place in zip("abcd", (0.0, 1.0, 1.9, 10.0), strict=True)}
    assert [pair[:2] for pair in pair_scans(scans)] == [("a", "b"), ("c", "d")]


def test_one_scan_has_no_partner() -> None:
    assert pair_scans({}) == []
    assert pair_scans({"a": np.zeros(27)}) == []
    assert [pair[:2] for pair in pair_scans({n: np.full(27, x) for n, x in zip("abc", (0, 5, 1), strict=True)})] == [
        ("a", "c")
    ]


def test_the_names_are_the_seven_of_the_data_set() -> None:
    assert DISC_NAMES == ("T11/T12", "T12/L1", "L1/L2", "L2/L3", "L3/L4", "L4/L5", "L5/S1")
