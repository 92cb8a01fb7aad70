from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from regforest.errors import FileError, ModelError
from regforest.features import BoxFeatures
from regforest.forest import Forest, ForestClassifier
from regforest.io.models import part_of, read_model, write_model

SETTINGS = {"spacing_mm": 2.0, "levels": ["C1", "T12"], "nested": {"on": True, "off": None}, "text": "ä"}
TYPES = st.sampled_from(
    [np.bool_, np.int8, np.uint8, np.int16, np.int32, np.int64, np.uint64, np.float32, np.float64]
)


def example_arrays():
    return {
        "whole": np.arange(6, dtype=np.int32).reshape(2, 3),
        "real": np.array([0.1, -0.0, np.inf, np.nan], np.float32),
        "scalar": np.array(3),
        "empty": np.zeros((0, 4), np.float64),
        "flags": np.array([True, False]),
    }


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "some.rfm"
    write_model(path, "test", SETTINGS, example_arrays())
    return path


def test_what_was_written_comes_back_bit_for_bit(model):
    settings, found = read_model(model, "test")
    assert settings == SETTINGS
    for name, array in example_arrays().items():
        assert found[name].dtype == array.dtype
        assert found[name].shape == array.shape
        assert found[name].tobytes() == array.tobytes()


@given(TYPES.flatmap(lambda dtype: arrays(dtype, array_shapes(min_dims=0, max_dims=4, max_side=5, min_side=0))))
def test_arrays_of_every_allowed_type_and_shape_survive(tmp_path_factory, array):
    path = tmp_path_factory.getbasetemp() / "any.rfm"
    write_model(path, "k", {}, {"a": array})
    found = read_model(path, "k")[1]["a"]
    assert (found.dtype, found.shape, found.tobytes()) == (array.dtype, array.shape, array.tobytes())


def test_layouts_and_byte_orders_do_not_matter(tmp_path):
    array = np.arange(12, dtype=">i4").reshape(3, 4)
    write_model(tmp_path / "a.rfm", "k", {}, {"a": array.T})
    found = read_model(tmp_path / "a.rfm", "k")[1]["a"]
    np.testing.assert_array_equal(found, array.T)
    assert found.dtype == np.int32


def test_equal_models_are_equal_files_whatever_the_order_of_their_parts(tmp_path, model):
    again = tmp_path / "again.rfm"
    backwards = dict(reversed(example_arrays().items()))
    write_model(again, "test", dict(reversed(SETTINGS.items())), backwards)
    assert again.read_bytes() == model.read_bytes()


def test_forest_and_pool_predict_the_same_after_a_round_trip(tmp_path):
    rng = np.random.default_rng(0)
    image = rng.integers(-999, 999, (6, 7, 8)).astype(np.int16)
    pool = BoxFeatures.random(20, seed=0, max_offset_mm=5, size_range_mm=(1, 4))
    X = pool.evaluate([image], 1.0, np.argwhere(image > -9999))
    forest = ForestClassifier(3, random_state=0).fit(X, (image > 0).ravel()).forest_
    parts = {f"forest.{k}": v for k, v in forest.to_arrays().items()}
    parts |= {f"pool.{k}": v for k, v in pool.to_arrays().items()}
    write_model(tmp_path / "m.rfm", "k", {}, parts)
    _, found = read_model(tmp_path / "m.rfm", "k")
    again = Forest.from_arrays({k[7:]: v for k, v in found.items() if k.startswith("forest.")})
    features = BoxFeatures.from_arrays({k[5:]: v for k, v in found.items() if k.startswith("pool.")})
    np.testing.assert_array_equal(again.predict(X), forest.predict(X))
    np.testing.assert_array_equal(
        features.evaluate([image], 1.0, [[1, 2, 3]]), pool.evaluate([image], 1.0, [[1, 2, 3]])
    )


@pytest.mark.parametrize("settings", [{"a": np.nan}, {"a": np.zeros(2)}, {"a": {1, 2}}, {"a": object()}])
def test_settings_that_json_cannot_hold_are_refused_and_nothing_is_written(tmp_path, settings):
    with pytest.raises(ModelError, match="JSON"):
        write_model(tmp_path / "a.rfm", "k", settings, {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arrays_",
    [
        {"a": np.array([object()])},
        {"a": np.array(["x"])},
        {"a": np.array([1j])},
        {"../a": np.zeros(1)},
        {"": np.zeros(1)},
    ],
)
def test_arrays_that_cannot_be_stored_are_refused(tmp_path, arrays_):
    with pytest.raises(ModelError, match="cannot be stored"):
        write_model(tmp_path / "a.rfm", "k", {}, arrays_)


def test_a_failed_write_leaves_the_old_model_in_place(model, monkeypatch):
    before = model.read_bytes()
    monkeypatch.setattr(np.lib.format, "write_array", lambda *_, **__: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(FileError, match="disk full"):
        write_model(model, "test", {}, {"a": np.zeros(3)})
    assert model.read_bytes() == before
    assert list(model.parent.iterdir()) == [model]


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(ModelError, match=r"nothing\.rfm.*no such"):
        read_model(tmp_path / "nothing.rfm", "k")
    with pytest.raises(ModelError, match=str(tmp_path)):
        read_model(tmp_path, "k")


def test_another_kind_and_a_newer_version_are_told_apart(model):
    with pytest.raises(ModelError, match=r"some\.rfm.*'vertebrae'.*'test'"):
        read_model(model, "vertebrae")
    for version, advice in ((2, "update regforest"), (0, "train it again"), ("1", "train it again")):
        with pytest.raises(ModelError, match=f"version 1, found {version!r}; {advice}"):
            read_model(tampered(model, lambda content, v=version: content | {"version": v}), "test")


def members_of(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rezipped(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def tampered(path, change):
    members = members_of(path)
    members["model.json"] = json.dumps(change(json.loads(members["model.json"]))).encode()
    return rezipped(path, members)


def with_array(content, **change):
    return content | {"arrays": content["arrays"] | {"whole": content["arrays"]["whole"] | change}}


@pytest.mark.parametrize(
    "change",
    [
        lambda c: [],
        lambda c: {k: v for k, v in c.items() if k != "format"},
        lambda c: c | {"settings": [1]},
        lambda c: c | {"arrays": []},
        lambda c: c | {"arrays": {k: v for k, v in c["arrays"].items() if k != "real"}},
        lambda c: c | {"arrays": c["arrays"] | {"more": c["arrays"]["real"]}},
        lambda c: c | {"arrays": c["arrays"] | {"whole": 3}},
        lambda c: with_array(c, dtype="|O"),
        lambda c: with_array(c, dtype=["a"]),
        lambda c: with_array(c, shape=[6]),
        lambda c: with_array(c, shape=[2, -3]),
        lambda c: with_array(c, shape=[True, 6]),
        lambda c: with_array(c, shape=[10**9, 10**9]),
        lambda c: with_array(c, shape="2,3"),
        lambda c: with_array(c, sha256="0" * 64),
        lambda c: with_array(c, dtype="<f4"),
    ],
)
def test_a_description_that_does_not_fit_is_refused(model, change):
    with pytest.raises(ModelError, match=r"some\.rfm"):
        read_model(tampered(model, change), "test")


def npy(array, **options):
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


class Trap:
    """What a hostile pickle would run."""

    def __reduce__(self):
        return os.mkdir, ("trap-was-sprung",)


@pytest.mark.parametrize(
    "hostile",
    [
        npy(np.array([Trap()] * 6, dtype=object), allow_pickle=True),
        pickle.dumps(Trap()),
        npy(np.arange(6, dtype=np.int32).reshape(2, 3)[::-1]),
        npy(np.arange(7, dtype=np.int32)),
        npy(np.arange(6, dtype=np.int32).reshape(2, 3)) + b"more",
        npy(np.arange(6, dtype=np.int32).reshape(2, 3)).replace(b"(2, 3)", b"(9, 9)"),
        npy(np.arange(6, dtype=np.int32).reshape(2, 3)).replace(b"(2, 3), }      ", b"(9999999999,), }"),
        b"",
        b"\x93NUMPY\x09\x00" + b"\x00" * 40,
    ],
)
def test_a_hostile_array_is_refused_and_nothing_is_executed(model, hostile, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    members = members_of(model)
    members["arrays/whole.npy"] = hostile
    rezipped(model, members)
    with pytest.raises(ModelError, match=r"some\.rfm"):
        read_model(model, "test")
    assert not (tmp_path / "trap-was-sprung").exists()


def test_a_member_that_unpacks_to_far_more_than_declared_is_refused(model):
    members = members_of(model)
    members["arrays/whole.npy"] = b"\0" * 200_000_000
    with pytest.raises(ModelError, match=r"some\.rfm.*declare"):
        read_model(rezipped(model, members), "test")


def test_no_member_is_unpacked_where_all_together_are_too_large(model, monkeypatch):
    members = members_of(model)
    rezipped(model, members | {f"arrays/zeros{i}.npy": b"\0" * 30_000_000 for i in range(3)})
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_: pytest.fail("a member was unpacked"))
    with pytest.raises(ModelError, match=r"some\.rfm.*declare 9\d+ bytes"):
        read_model(model, "test")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_compression_that_takes_more_memory_than_it_says_is_refused(model, method):
    members = members_of(model)
    with zipfile.ZipFile(model, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    with pytest.raises(ModelError, match=r"some\.rfm.*stored or deflated"):
        read_model(model, "test")


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.rfm")
    with pytest.raises(ModelError, match=r"pipe\.rfm.*no file"):
        read_model(tmp_path / "pipe.rfm", "test")


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_settings_that_are_not_finite_are_refused(model, constant):
    members = members_of(model)
    members["model.json"] = members["model.json"].replace(b'"spacing_mm": 2.0', f'"spacing_mm": {constant}'.encode())
    with pytest.raises(ModelError, match=rf"some\.rfm.*{constant}"):
        read_model(rezipped(model, members), "test")


def test_a_model_of_version_1_still_loads():
    settings, found = read_model(Path(__file__).parent / "data" / "version1.rfm", "test")
    assert settings == {"note": "made by hand", "spacing_mm": 3.0}
    assert Forest.from_arrays(part_of(found, "forest")).predict([[0.25], [0.75]]).tolist() == [[1, 0], [0.5, 0.5]]


def test_a_bomb_in_the_description_is_refused(model):
    members = members_of(model)
    members["model.json"] = b" " * 50_000_000
    with pytest.raises(ModelError, match=r"some\.rfm.*more than it may hold"):
        read_model(rezipped(model, members), "test")


def test_deeply_nested_settings_are_refused(model):
    members = members_of(model)
    members["model.json"] = b"[" * 100_000 + b"]" * 100_000
    with pytest.raises(ModelError, match=r"some\.rfm"):
        read_model(rezipped(model, members), "test")


def test_further_or_repeated_members_are_refused(model):
    members = members_of(model) | {"../evil.py": b"1"}
    with pytest.raises(ModelError, match="evil"):
        read_model(rezipped(model, members), "test")
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(model, "a") as archive:
        archive.writestr("model.json", b"{}")
    with pytest.raises(ModelError, match="two"):
        read_model(model, "test")


def test_no_cut_or_flipped_byte_gives_anything_but_the_model_or_an_error(model, tmp_path):
    data = model.read_bytes()
    expected = read_model(model, "test")
    damaged = tmp_path / "damaged.rfm"
    for place in range(0, len(data), 7):
        for broken in (data[:place], data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :]):
            damaged.write_bytes(broken)
            try:
                settings, found = read_model(damaged, "test")
            except ModelError:
                continue
            assert settings == expected[0]  # a flipped bit in a date or attribute does not matter
            assert all(found[name].tobytes() == expected[1][name].tobytes() for name in found)
