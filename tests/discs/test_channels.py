from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from regforest.discs import DiscLocalizer, ForestSettings
from regforest.discs.channels import channel_notes, channels_by_name
from regforest.errors import DataError, ModelError
from regforest.io.models import read_model, write_model
from regforest.spatial import AnnotatedScan, Grid, Volume
from tests.discs.synthetic import NAMES, QUICK, distance_mm, make_scan

FOREST = dataclasses.replace(QUICK, method="forest", forest=ForestSettings(trees=8, rows=4000, min_leaf=5))
SETTINGS = {"data-driven": QUICK, "knn": dataclasses.replace(QUICK, method="knn"), "forest": FOREST}


@pytest.fixture(scope="module", params=list(SETTINGS))
def model(request: pytest.FixtureRequest) -> DiscLocalizer:
    return DiscLocalizer(SETTINGS[request.param]).fit([make_scan(i, channels=2) for i in (1, 2, 3, 4)])


@pytest.fixture(scope="module")
def pair() -> AnnotatedScan:
    return make_scan(9, channels=2)


@pytest.mark.parametrize(("shown", "missing"), [("fat", "water"), ("water", "fat")])
def test_a_scan_that_lacks_a_channel_is_located_and_outlined_and_the_channel_named(
    model: DiscLocalizer, pair: AnnotatedScan, shown: str, missing: str
) -> None:
    localization, labels = model.apply({shown: pair.channels[shown]})
    assert list(localization.landmarks) == list(NAMES.values())
    assert distance_mm(localization.landmarks, pair.landmarks).max() < 3.5
    assert localization.notes == (f"missing channels: {missing} (estimated from {shown})",)
    assert localization.to_json("a")["notes"] == list(localization.notes)
    assert pair.labels is not None
    for value in NAMES:
        own, truth = labels.voxels == value, pair.labels.voxels == value
        assert 2 * (own & truth).sum() / (own.sum() + truth.sum()) > 0.78
    again = model.segment({shown: pair.channels[shown]}, localization)
    assert (again.voxels > 0).sum() == pytest.approx((labels.voxels > 0).sum(), rel=0.1)


def test_nothing_is_noted_where_all_channels_are_there(model: DiscLocalizer, pair: AnnotatedScan) -> None:
    assert model.localize(pair.channels).notes == ()
    assert model.channels_ == ("fat", "water")


def test_a_saved_model_does_without_a_channel_as_before(
    model: DiscLocalizer, pair: AnnotatedScan, tmp_path: Path
) -> None:
    model.save(tmp_path / "m.rfm")
    fat = {"fat": pair.channels["fat"]}
    assert DiscLocalizer.load(tmp_path / "m.rfm").localize(fat) == model.localize(fat)


def test_a_model_of_an_earlier_version_works_with_all_channels_and_refuses_fewer(
    model: DiscLocalizer, pair: AnnotatedScan, tmp_path: Path
) -> None:
    model.save(tmp_path / "new.rfm")
    stored, arrays = read_model(tmp_path / "new.rfm", "discs")
    earlier = {n: a for n, a in arrays.items() if ".completion." not in n and not n.endswith("projection.variance")}
    write_model(tmp_path / "old.rfm", "discs", _without(stored, "noise", "completion"), earlier)
    old = DiscLocalizer.load(tmp_path / "old.rfm")
    assert old.localize(pair.channels) == model.localize(pair.channels)
    with pytest.raises(ModelError, match="train it again"):
        old.localize({"fat": pair.channels["fat"]})


def _without(value: dict, *keys: str) -> dict:
    return {
        key: _without(inner, *keys) if isinstance(inner, dict) else inner
        for key, inner in value.items()
        if key not in keys
    }


def test_what_relates_the_channels_of_a_forest_is_checked_when_it_is_loaded(tmp_path: Path) -> None:
    small = dataclasses.replace(FOREST, coarse_patches=60, fine_patches=30, label_patches=60, turns_deg=(0.0,))
    DiscLocalizer(small).fit([make_scan(i, channels=2) for i in (1, 2)]).save(tmp_path / "m.rfm")
    stored, arrays = read_model(tmp_path / "m.rfm", "discs")
    names = [name for name in arrays if ".completion." in name]
    assert len(names) == 3 * 4
    for name in names:
        for changed in (arrays[name][:-1], ~arrays[name] if name.endswith("shown") else arrays[name] * np.nan):
            write_model(tmp_path / "bad.rfm", "discs", stored, arrays | {name: changed})
            with pytest.raises(ModelError, match=r"bad\.rfm"):
                DiscLocalizer.load(tmp_path / "bad.rfm")


def test_images_of_which_none_is_a_channel_of_training_are_refused(model: DiscLocalizer, pair: AnnotatedScan) -> None:
    with pytest.raises(DataError, match=r"fat, water, got image: name at least one.*image_<channel>"):
        model.localize(pair.image)
    with pytest.raises(DataError, match="got none"):
        model.apply({}, max_memory_mb=1000.0)


def test_images_that_are_no_channel_of_training_are_not_used_and_named(
    model: DiscLocalizer, pair: AnnotatedScan
) -> None:
    more = {**pair.channels, "t1": pair.channels["fat"]}
    with_more, without = model.localize(more), model.localize(pair.channels)
    assert with_more.landmarks == without.landmarks
    assert with_more.notes == ("channels that the model did not learn, not used: t1",)


def test_channels_on_two_grids_are_refused(model: DiscLocalizer, pair: AnnotatedScan) -> None:
    volume = pair.channels["water"]
    moved = Volume(volume.voxels, Grid.from_parts(volume.grid.shape_zyx, (2.5, 2.5, 2.5), (0.0, 0.0, 500.0)))
    with pytest.raises(DataError, match="different grids"):
        model.localize({**pair.channels, "water": moved})


def test_a_lone_image_of_a_lone_channel_needs_no_name(pair: AnnotatedScan) -> None:
    assert channels_by_name(pair.image, ["t2"]) == {"t2": pair.image}
    assert channels_by_name({"any": pair.image}, ["t2"]) == {"t2": pair.image}


def test_notes_name_every_channel_that_is_missing_or_strange() -> None:
    assert channel_notes(["wat", "fat", "t1"], ["fat", "inn", "opp", "wat"]) == (
        "missing channels: inn, opp (estimated from fat, wat)",
        "channels that the model did not learn, not used: t1",
    )
