"""Files that claim to be models of vertebrae and are none: each is refused when it is loaded."""

from dataclasses import fields, is_dataclass, replace

import numpy as np
import pytest

from regforest.errors import ModelError
from regforest.features import BoxFeatures
from regforest.io.models import read_model, write_model
from regforest.vertebrae import (
    Baseline2012,
    BaselineSettings,
    VertebraLocalizer,
    VertebraSettings,
    baseline_sampling,
    baseline_settings,
    bodies,
    candidates,
    sampling,
    settings,
    vote_chain,
)
from tests.hostile_models import NEVER_A_SETTING, hostile_arrays, leaves, with_setting
from tests.vertebrae.toy_spine import toy_scan

KINDS = {"vertebrae": VertebraLocalizer, "vertebrae-2012": Baseline2012}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    scans = [toy_scan(i) for i in range(3)]
    bodies_ = bodies.BodySettings(trees=2, features=20, max_depth=4)
    small = replace(VertebraSettings.quick(), features=30, trees=2, max_depth=4, bodies=bodies_)
    VertebraLocalizer(small).fit(scans).save(folder / "vertebrae.rfm")
    small = replace(BaselineSettings.quick(), features=30, trees=2, max_depth=4, near_features=20, components=6)
    Baseline2012(small).fit(scans).save(folder / "vertebrae-2012.rfm")
    return {kind: folder / f"{kind}.rfm" for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_saved_again_is_the_same_file(models, kind, tmp_path):
    KINDS[kind].load(models[kind]).save(tmp_path / "again.rfm")
    assert (tmp_path / "again.rfm").read_bytes() == models[kind].read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_no_setting_may_be_missing_of_another_kind_or_not_finite(models, kind, tmp_path):
    stored, _ = read_model(models[kind], kind)
    for path in leaves(stored):
        for value in (*NEVER_A_SETTING, float("nan"), float("inf")):
            if value is True and path[-1] == "soft_labels":
                continue  # the only switch
            changed = with_setting(models[kind], tmp_path / "hostile.rfm", path, value)
            with pytest.raises(ModelError, match=r"hostile\.rfm"):
                pytest.fail(f"{path} = {value!r}: {KINDS[kind].load(changed)}")


@pytest.mark.parametrize("kind", KINDS)
def test_no_array_may_be_missing_of_another_kind_or_not_finite(models, kind, tmp_path):
    stored, arrays = read_model(models[kind], kind)
    for name, array in arrays.items():
        for what, changed in hostile_arrays(array):
            if what == "with 1e+30" and name.endswith("forest.threshold"):
                continue  # finite is enough
            write_model(tmp_path / "hostile.rfm", kind, stored, arrays | {name: changed})
            with pytest.raises(ModelError):
                pytest.fail(f"{name} {what}: {KINDS[kind].load(tmp_path / 'hostile.rfm')}")
        write_model(tmp_path / "hostile.rfm", kind, stored, {n: a for n, a in arrays.items() if n != name})
        with pytest.raises(ModelError):
            KINDS[kind].load(tmp_path / "hostile.rfm")


def refused(models, tmp_path, kind, **changed):
    stored, arrays = read_model(models[kind], kind)
    for key, change in changed.items():
        name = key.replace("__", ".")
        arrays[name] = change(arrays[name])
    write_model(tmp_path / "hostile.rfm", kind, stored, arrays)
    with pytest.raises(ModelError) as error:
        KINDS[kind].load(tmp_path / "hostile.rfm")
    return str(error.value)


@pytest.mark.parametrize(
    ("kind", "part"), [("vertebrae", "level_boxes"), ("vertebrae", "body_boxes"), ("vertebrae-2012", "boxes")]
)
def test_boxes_that_would_take_all_memory_are_refused(models, tmp_path, kind, part):
    far = refused(models, tmp_path, kind, **{f"{part}__offsets_mm": lambda a: a + 9000})
    assert "reach at most 400 voxels" in far
    large = refused(models, tmp_path, kind, **{f"{part}__sizes_mm": lambda a: a * 0 + 900})
    assert "too large" in large
    assert "channel 7" in refused(models, tmp_path, kind, **{f"{part}__channels": lambda a: a * 0 + 7})


def test_leaves_that_are_no_probabilities_or_votes_without_weight_are_refused(models, tmp_path):
    assert "sum to 1" in refused(models, tmp_path, "vertebrae", level_forest__values=lambda a: a * 2)
    assert "sum to 1" in refused(models, tmp_path, "vertebrae", level_forest__values=lambda a: -a)
    assert "positive weight" in refused(models, tmp_path, "vertebrae-2012", forest__values=lambda a: a * 0)


def test_covariances_that_no_spine_can_have_are_refused(models, tmp_path):
    stored, _ = read_model(models["vertebrae"], "vertebrae")
    wrong = (-np.array(stored["prior"]["step_covariance_mm2"])).tolist()
    path = ("prior", "step_covariance_mm2")
    changed = with_setting(models["vertebrae"], tmp_path / "hostile.rfm", path, wrong)
    with pytest.raises(ModelError, match=r"hostile\.rfm.*settings"):
        VertebraLocalizer.load(changed)


def test_every_setting_has_limits():
    for kind, module in (
        (settings.VertebraSettings, settings), (sampling.SamplingSettings, sampling),
        (candidates.CandidateSettings, candidates), (bodies.BodySettings, bodies),
        (baseline_settings.BaselineSettings, baseline_settings),
        (baseline_sampling.BaselineSampling, baseline_sampling), (vote_chain.ChainSettings, vote_chain),
    ):  # fmt: skip
        example = kind()
        values = {item.name: getattr(example, item.name) for item in fields(kind)}
        numbers = {name for name, value in values.items() if not (is_dataclass(value) or isinstance(value, bool))}
        assert set(module._LIMITS) == numbers


def test_boxes_read_their_types_strictly():
    boxes = BoxFeatures.random(3, seed=0, max_offset_mm=5, size_range_mm=(1, 4)).to_arrays()
    with pytest.raises(ModelError, match="'channels' is of type float64"):
        BoxFeatures.from_arrays(boxes | {"channels": boxes["channels"].astype(float)})
