"""Files that claim to be models of discs and are none: each is refused when it is loaded."""

import dataclasses

import numpy as np
import pytest

from regforest.discs import DiscLocalizer, DiscSettings, ForestSettings, JointSettings, PatchSettings, settings
from regforest.errors import ModelError
from regforest.io.models import read_model, write_model
from tests.discs.synthetic import QUICK, make_scan
from tests.hostile_models import NEVER_A_SETTING, hostile_arrays, leaves, with_setting

# NaN says that a view does not show a structure, and fewer views are still views
HARMLESS = {("with nan", "coarse.offsets_mm"), ("with nan", "shift.appearance")}
SMALL = dataclasses.replace(QUICK, coarse_patches=60, fine_patches=30, label_patches=60, turns_deg=(0.0,))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "discs.rfm"
    DiscLocalizer(SMALL).fit([make_scan(i) for i in range(1, 3)]).save(path)
    return path


def test_a_model_saved_again_is_the_same_file(model, tmp_path):
    DiscLocalizer.load(model).save(tmp_path / "again.rfm")
    assert (tmp_path / "again.rfm").read_bytes() == model.read_bytes()


def test_no_setting_may_be_missing_of_another_kind_or_not_finite(model, tmp_path):
    stored, _ = read_model(model, "discs")
    for path in leaves(stored):
        for value in (*NEVER_A_SETTING, float("nan"), float("inf")):
            if path[:1] == ("label_names",) and value == "x":
                continue
            changed = with_setting(model, tmp_path / "hostile.rfm", path, value)
            with pytest.raises(ModelError, match=r"hostile\.rfm"):
                pytest.fail(f"{path} = {value!r}: {DiscLocalizer.load(changed)}")


def test_no_array_may_be_missing_of_another_kind_or_not_finite(model, tmp_path):
    stored, arrays = read_model(model, "discs")
    for name, array in arrays.items():
        for what, changed in hostile_arrays(array):
            if (what, name) in HARMLESS:
                continue
            write_model(tmp_path / "hostile.rfm", "discs", stored, arrays | {name: changed})
            with pytest.raises(ModelError, match=r"hostile\.rfm"):
                pytest.fail(f"{name} {what}: {DiscLocalizer.load(tmp_path / 'hostile.rfm')}")
        write_model(tmp_path / "hostile.rfm", "discs", stored, {n: a for n, a in arrays.items() if n != name})
        with pytest.raises(ModelError, match=r"hostile\.rfm"):
            DiscLocalizer.load(tmp_path / "hostile.rfm")


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("label.voxels.cell_start", lambda a: a[::-1].copy(), "do not follow each other"),
        ("label.voxels.cell_start", lambda a: a + 1, "do not follow each other"),
        ("label.voxels.cells_zyx", lambda a: a * 0 + 900, "cell"),
        ("label.voxels.inside", lambda a: a - 5, "from 0 to 1"),
        ("label.prior", lambda a: a * 3 + 1, "from 0 to 1"),
        ("steps.covariance_mm2", lambda a: -a - 1, "negative variances"),
        ("shift.variance", lambda a: a * 0, "shift|variance"),
        ("shift.field_count", lambda a: a * 0, "field_count"),
        ("unit_steps", lambda a: a * 0, "unit_steps"),
    ],
)  # fmt: skip
def test_values_that_make_no_sense_are_refused(model, tmp_path, name, change, said):
    stored, arrays = read_model(model, "discs")
    write_model(tmp_path / "hostile.rfm", "discs", stored, arrays | {name: change(arrays[name])})
    with pytest.raises(ModelError, match=rf"hostile\.rfm.*({said})"):
        DiscLocalizer.load(tmp_path / "hostile.rfm")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("names",), ["L5", "L4", "L3", "L2"]),
        (("names",), ["L2", "L2", "L4", "L5"]),
        (("names",), ["L2", "../x", "L4", "L5"]),
        (("channels",), ["a", "a"]),
        (("label_names",), {"0": "L2", "1": "L3", "2": "L4", "3": "L5"}),
        (("label_names",), {"1": "L2", "2": "L3", "3": "L4", "4": "../x"}),
        (("label_names",), {"1": "L2"}),
        (("steps", "names"), ["L1", "L3", "L4", "L5"]),
        (("coarse", "rows"), [1.0, 2.0]),
        (("settings", "method"), "forest"),
        (("settings", "fine_radius_mm"), 200.0),
    ],
)  # fmt: skip
def test_names_and_settings_that_do_not_fit_are_refused(model, tmp_path, path, value):
    if path == ("settings", "fine_radius_mm"):  # too large on a fine grid alone
        model = with_setting(model, tmp_path / "fine.rfm", ("settings", "coarse_spacing_mm"), 0.5)
    with pytest.raises(ModelError, match=r"hostile\.rfm"):
        DiscLocalizer.load(with_setting(model, tmp_path / "hostile.rfm", path, value))


def test_every_setting_has_limits():
    for kind, example, limits in (
        (DiscSettings, DiscSettings(), settings._LIMITS),
        (PatchSettings, PatchSettings((1.0,)), settings._PATCH_LIMITS),
        (ForestSettings, ForestSettings(), settings._FOREST_LIMITS),
        (JointSettings, JointSettings(), settings._JOINT_LIMITS),
    ):
        values = {item.name: getattr(example, item.name) for item in dataclasses.fields(kind)}
        numbers = {name for name, value in values.items() if not dataclasses.is_dataclass(value)} - {"method"}
        assert set(limits) == numbers


def test_the_number_of_columns_is_that_of_the_reader(model):
    loaded = DiscLocalizer.load(model)
    columns = loaded.settings.fine_patch.columns(loaded.settings.coarse_spacing_mm, 1)
    assert np.shape(loaded.learned_.fine.projection.mean) == (columns,)
