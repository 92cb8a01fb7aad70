from __future__ import annotations

import dataclasses
import itertools
import pickle
from pathlib import Path

import numpy as np
import pytest

from regforest.discs import DiscLocalizer, DiscSettings
from regforest.discs.pipeline import DiscPipeline
from regforest.discs.settings import JointSettings
from regforest.errors import DataError, ModelError
from regforest.io.models import write_model
from regforest.spatial import AnnotatedScan, Grid, Landmarks, Volume
from tests.discs.synthetic import NAMES, QUICK, distance_mm, make_scan


@pytest.fixture(scope="module")
def model() -> DiscLocalizer:
    return DiscLocalizer(QUICK).fit([make_scan(i) for i in range(1, 5)])


@pytest.fixture(scope="module")
def scan() -> AnnotatedScan:
    return make_scan(9)


def _dice(labels: Volume, truth: Volume, value: int) -> float:
    a, b = labels.voxels == value, truth.voxels == value
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


def _permuted(volume: Volume, order: tuple[int, ...], flips: tuple[bool, ...]) -> Volume:
    """Store the same picture with other axes; `order` names the old grid axis (x, y, z) of each new one."""
    matrix = volume.grid.matrix.copy()
    voxels = volume.voxels
    for axis in range(3):
        if flips[axis]:
            voxels = np.flip(voxels, 2 - axis)
            matrix[:3, 3] += matrix[:3, axis] * (volume.grid.size_xyz[axis] - 1)
            matrix[:3, axis] *= -1
    voxels = voxels.transpose([2 - order[2 - i] for i in range(3)])
    matrix[:3, :3] = matrix[:3, list(order)]
    return Volume(np.ascontiguousarray(voxels), Grid(voxels.shape, matrix))


def test_centres_and_masks_of_a_new_scan_are_found(model: DiscLocalizer, scan: AnnotatedScan) -> None:
    localization, labels = model.apply(scan.channels)
    assert list(localization.landmarks) == list(NAMES.values())
    assert distance_mm(localization.landmarks, scan.landmarks).max() < 2.5
    assert scan.labels is not None
    assert min(_dice(labels, scan.labels, value) for value in NAMES) > 0.85
    assert labels.grid == scan.image.grid
    assert localization.shift_probability[0] == max(localization.shift_probability.values())
    assert sum(localization.shift_probability.values()) <= 1 + 1e-9


def test_all_48_axis_orders_give_the_same_landmarks(scan: AnnotatedScan) -> None:
    settings = dataclasses.replace(
        QUICK, coarse_spacing_mm=5.0, coarse_grid_mm=15.0, coarse_patches=150, turns_deg=(0.0,), modes=3,
        fine_patches=15, fine_radius_mm=14.0,
    )  # fmt: skip
    points_only = DiscLocalizer(settings).fit([make_scan(1, masks=False, absent=("L2", "L5"))])
    expected = points_only.locate(scan.image)
    assert distance_mm(expected, scan.landmarks).max() < 5
    for order in itertools.permutations(range(3)):
        for flips in itertools.product((False, True), repeat=3):
            found = points_only.locate(_permuted(scan.image, order, flips))
            assert found.names == expected.names
            np.testing.assert_allclose(found.points_lps_mm, expected.points_lps_mm, atol=0.01)


def test_labels_come_back_on_the_input_grid_of_another_axis_order(model: DiscLocalizer, scan: AnnotatedScan) -> None:
    turned = _permuted(scan.image, (2, 0, 1), (True, False, True))
    assert scan.labels is not None
    labels = model.segment(turned)
    assert labels.grid == turned.grid
    assert _dice(labels, _permuted(scan.labels, (2, 0, 1), (True, False, True)), 2) > 0.85


def test_a_rounded_model_is_a_smaller_file_and_says_nearly_the_same(
    model: DiscLocalizer, scan: AnnotatedScan, tmp_path: Path
) -> None:
    small = model.rounded()
    model.save(tmp_path / "m.rfm")
    small.save(tmp_path / "s.rfm")
    assert (tmp_path / "s.rfm").stat().st_size < 0.75 * (tmp_path / "m.rfm").stat().st_size
    found, again = small.localize(scan.channels), DiscLocalizer.load(tmp_path / "s.rfm").localize(scan.channels)
    np.testing.assert_array_equal(found.landmarks.points, again.landmarks.points)
    assert distance_mm(found.landmarks, model.localize(scan.channels).landmarks).max() < 0.5


def test_learning_tells_how_far_it_is() -> None:
    told: list[tuple[int, int]] = []
    DiscLocalizer(QUICK).fit([make_scan(1)], progress=lambda done, total: told.append((done, total)))
    assert told == [(k, 5) for k in range(1, 6)]


def test_a_saved_model_gives_the_same_result_bit_for_bit(
    model: DiscLocalizer, scan: AnnotatedScan, tmp_path: Path
) -> None:
    model.save(tmp_path / "m.rfm")
    again = DiscLocalizer.load(tmp_path / "m.rfm")
    assert again.settings == model.settings
    (a, a_labels), (b, b_labels) = model.apply(scan.channels), again.apply(scan.channels)
    assert a == b
    np.testing.assert_array_equal(a_labels.voxels, b_labels.voxels)


def test_a_damaged_model_is_refused(tmp_path: Path) -> None:
    write_model(tmp_path / "m.rfm", "discs", {"seed": 0}, {})
    with pytest.raises(ModelError, match=r"m\.rfm"):
        DiscLocalizer.load(tmp_path / "m.rfm")


def test_prepared_records_survive_pickling_and_fit_to_the_same_model(scan: AnnotatedScan) -> None:
    scans = [make_scan(i) for i in (1, 2)]
    prepared = DiscLocalizer(QUICK)
    prepared.fit([pickle.loads(pickle.dumps(prepared.prepare(s))) for s in scans])
    assert prepared.locate(scan.image) == DiscLocalizer(QUICK).fit(scans, n_jobs=2).locate(scan.image)


def test_points_without_masks_train_a_localizer_that_refuses_to_segment(scan: AnnotatedScan) -> None:
    model = DiscLocalizer(QUICK).fit([make_scan(i, masks=False) for i in range(1, 5)])
    localization = model.localize(scan.image)
    assert distance_mm(localization.landmarks, scan.landmarks).max() < 5
    with pytest.raises(DataError, match="without masks"):
        model.segment(scan.image, localization)


def test_one_patient_is_enough_to_train(scan: AnnotatedScan) -> None:
    model = DiscLocalizer(QUICK).fit([make_scan(1)])
    assert distance_mm(model.locate(scan.image), scan.landmarks).max() < 6


def test_a_structure_may_be_absent_in_some_training_scans(scan: AnnotatedScan) -> None:
    scans = [make_scan(1, absent=("L2",)), make_scan(2), make_scan(3), make_scan(4, absent=("L5",))]
    model = DiscLocalizer(QUICK).fit(scans)
    assert model.names_ == tuple(NAMES.values())
    found = model.locate(scan.image)
    assert distance_mm(found, scan.landmarks).max() < 4


def test_an_image_that_shows_fewer_structures_gives_fewer_and_says_so(model: DiscLocalizer) -> None:
    cut = make_scan(9, bottom=24)  # L5 and the block below it are gone
    localization = model.localize(cut.image)
    assert "L5" not in localization.landmarks
    assert localization.status == "uncertain"
    assert "L5" in localization.reason


def test_two_channels_work_together_in_any_order() -> None:
    model = DiscLocalizer(QUICK).fit([make_scan(i, channels=2) for i in (1, 2, 3)])
    pair = make_scan(9, channels=2)
    assert distance_mm(model.locate(pair.channels), pair.landmarks).max() < 3
    swapped = {name: pair.channels[name] for name in ("water", "fat")}
    assert model.localize(swapped) == model.localize(pair.channels)


def test_an_anchor_names_the_chain_even_against_the_evidence(model: DiscLocalizer, scan: AnnotatedScan) -> None:
    beside = scan.landmarks["L4"] + [4.0, -3.0, 5.0]  # a point on the structure, not its centre
    found = model.localize(scan.image, anchor={"L4": beside})
    assert (found.status, found.anchored, found.shift_probability[0]) == ("ok", True, 1.0)
    assert distance_mm(found.landmarks, scan.landmarks).max() < 2.5
    renamed = model.localize(scan.image, anchor={"L3": beside})
    for name, below in (("L2", "L3"), ("L3", "L4"), ("L4", "L5")):
        assert np.linalg.norm(renamed.landmarks[name] - scan.landmarks[below]) < 8


@pytest.mark.parametrize(("anchor", "message"), [({"T3": (0, 0, 0)}, "L2, L3"), ({"L3": (0, 1)}, "three finite")])
def test_anchors_that_make_no_sense_are_refused(
    model: DiscLocalizer, scan: AnnotatedScan, anchor: dict[str, tuple[float, ...]], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        model.localize(scan.image, anchor=anchor)


def test_the_result_does_not_depend_on_the_number_of_jobs(model: DiscLocalizer, scan: AnnotatedScan) -> None:
    (one, labels), (two, same_labels) = (model.apply(scan.channels, n_jobs=jobs) for jobs in (1, 2))
    assert one == two
    np.testing.assert_array_equal(labels.voxels, same_labels.voxels)
    np.testing.assert_array_equal(*(model.segment(scan.image, one, n_jobs=jobs).voxels for jobs in (1, 2)))


def test_channels_on_different_grids_are_refused(scan: AnnotatedScan) -> None:
    pair = make_scan(9, channels=2)
    model = DiscLocalizer(QUICK).fit([make_scan(1, channels=2)])
    water = pair.channels["water"]
    moved = Volume(water.voxels, water.grid.cropped((3, 0, 0), water.grid.shape_zyx))
    with pytest.raises(DataError, match="different grids"):
        model.locate({"fat": pair.channels["fat"], "water": moved})


@pytest.mark.parametrize(
    ("shape", "value", "message"),
    [((40, 40, 1), 1.0, "not a 3-D image"), ((20, 20, 20), np.nan, "not finite")],
)
def test_images_that_cannot_be_used_are_refused(
    model: DiscLocalizer, shape: tuple[int, ...], value: float, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        model.locate(Volume(np.full(shape, value, np.float32), Grid(shape, np.eye(4))))


def test_an_answer_without_any_structure_is_empty(model: DiscLocalizer, scan: AnnotatedScan) -> None:
    # the chain was placed outside the field of view: nothing is left of it
    pipeline = DiscPipeline(model.learned_, model.settings, model.seed)
    outside = {s: np.array([1e4, 0.0, 0.0]) for s in range(len(model.names_))}
    scene, agreement = pipeline.scene(scan.channels), dict.fromkeys(outside, 0.5)
    answer = pipeline._verdict(scene, outside, {-1: 0.2, 0: 0.6, 1: 0.2}, agreement)
    assert (answer.status, len(answer.landmarks)) == ("empty", 0)
    assert "L3" in answer.reason


def test_a_constant_image_is_empty_with_a_reason(model: DiscLocalizer) -> None:
    flat = Volume(np.full((40, 40, 40), 3.0), Grid((40, 40, 40), np.diag([2, 2, 2, 1.0])))
    localization, labels = model.apply(flat)
    assert (localization.status, len(localization.landmarks)) == ("empty", 0)
    assert "one value" in localization.reason
    assert not labels.voxels.any()


def test_nothing_to_learn_from_is_refused() -> None:
    with pytest.raises(DataError, match="at least one"):
        DiscLocalizer(QUICK).fit([])
    bare = dataclasses.replace(make_scan(1), landmarks=Landmarks({}))
    with pytest.raises(DataError, match="case1"):
        DiscLocalizer(QUICK).fit([bare])


def test_scans_with_other_channels_are_refused() -> None:
    with pytest.raises(DataError, match="case2"):
        DiscLocalizer(QUICK).fit([make_scan(1), make_scan(2, channels=2)])


def test_plain_knn_is_a_method_of_its_own(scan: AnnotatedScan) -> None:
    plain = DiscLocalizer(dataclasses.replace(QUICK, method="knn")).fit([make_scan(i) for i in (1, 2, 3)])
    assert distance_mm(plain.locate(scan.image), scan.landmarks).max() < 5


def test_settings_survive_json() -> None:
    settings = DiscSettings(method="knn", scales=(1.0,), fine_joint=JointSettings(5))
    assert DiscSettings.from_json(settings.to_json()) == settings
