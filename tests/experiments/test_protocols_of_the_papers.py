"""The two experiments as the papers describe them, without running the methods."""

import pytest

from experiments import chen_loocv, glocker_2fold
from experiments.options import build_parser, parse
from experiments.outputs import RunFolder
from experiments.protocol import Fold, limited
from regforest.datasets import Case, Dataset, read_splits
from regforest.errors import DataError, UsageError


class Named(Case):
    def read_channels(self):
        raise NotImplementedError

    def load(self):
        raise NotImplementedError


def dataset(pairs, root):
    return Dataset("demo", "spine-ct", root, tuple(Named(name, patient, {}, None) for name, patient in pairs))


def options(experiment, *argv):
    methods = list(experiment.methods)
    parser = build_parser(experiment.name, "", experiment.layouts, methods, experiment.protocols)
    return parse(parser, methods, argv)


def test_the_official_folds_are_used_where_the_scans_are_in_them(tmp_path):
    chosen = options(glocker_2fold.EXPERIMENT)
    splits = read_splits(chosen.splits)
    pairs = [(name, f"p{i}") for i, name in enumerate((*splits.fold1, *splits.fold2))]
    folds, _ = glocker_2fold.two_folds(dataset(pairs, tmp_path), chosen)
    assert [(len(fold.train), len(fold.test)) for fold in folds] == [(112, 112), (112, 112)]
    assert set(folds[0].test) == set(folds[1].train) == set(splits.fold1)
    assert set(folds[1].test) == set(folds[0].train) == set(splits.fold2)


def test_phantoms_are_divided_by_patient_and_the_run_says_so(tmp_path):
    pairs = [(f"{p}{s}", f"p{p}") for p in range(7) for s in "ab"]
    folds, notes = glocker_2fold.two_folds(dataset(pairs, tmp_path), options(glocker_2fold.EXPERIMENT))
    for fold in folds:
        assert {name[0] for name in fold.train}.isdisjoint({name[0] for name in fold.test})
    assert sorted(folds[0].test + folds[1].test) == sorted(name for name, _ in pairs)
    assert any("by patient" in note for note in notes)


def test_official_fold_files_are_compared_with_the_shipped_ones(tmp_path):
    shipped = read_splits(options(glocker_2fold.EXPERIMENT).splits)
    first, *second = shipped.fold2, *shipped.fold1[1:]
    (tmp_path / "fold1-official.txt").write_text("\n".join(f"/data/patient1/{name}/{name}.mhd" for name in first))
    (tmp_path / "fold2-official.txt").write_text("\n".join(second))
    pairs = [(name, name) for name in (*shipped.fold1, *shipped.fold2)]
    _, notes = glocker_2fold.folds(
        dataset(pairs, tmp_path), options(glocker_2fold.EXPERIMENT, "--splits", str(tmp_path))
    )
    assert notes[-1] == f"{tmp_path} against the folds of data_splits: of 224 scans 1 differ: {shipped.fold1[0]}"


def test_the_challenge_of_2014_has_one_fold(tmp_path):
    chosen = options(glocker_2fold.EXPERIMENT, "--protocol", "csi2014")
    splits = read_splits(chosen.splits)
    names = (*splits.fold1, *splits.fold2, *splits.test)
    (fold,), _ = glocker_2fold.folds(dataset([(name, name) for name in names], tmp_path), chosen)
    assert (len(fold.train), set(fold.test)) == (224, set(splits.test))


@pytest.mark.parametrize(("limit", "kept"), [(None, (24, 6)), (10, (8, 2)), (2, (1, 1)), (99, (24, 6))])
def test_a_limited_challenge_keeps_the_proportion(limit, kept):
    fold = Fold("test", tuple(f"a{i}" for i in range(24)), tuple(f"b{i}" for i in range(6)))
    (small,) = limited([fold], limit)
    assert (len(small.train), len(small.test)) == kept
    assert set(small.train) <= set(fold.train)
    assert set(small.test) <= set(fold.test)


def test_a_challenge_of_one_case_or_without_training_is_refused():
    with pytest.raises(UsageError, match="at least 2"):
        limited([Fold("test", ("a", "b"), ("c",))], 1)
    with pytest.raises(DataError, match="no case to train on"):
        limited([Fold("test", (), ("c",))], None)


def test_both_scans_of_a_patient_are_left_out(tmp_path):
    pairs = [(f"{p}{s}", f"p{p}") for p in range(8) for s in "12"]
    folds, _ = chen_loocv.patients_left_out(dataset(pairs, tmp_path), options(chen_loocv.EXPERIMENT))
    assert len(folds) == 8
    assert all(len(fold.test) == 2 and len(fold.train) == 14 for fold in folds)


@pytest.mark.parametrize("module", [glocker_2fold, chen_loocv])
def test_the_first_method_is_the_default_and_help_names_all_options(module, capsys):
    first = next(iter(module.EXPERIMENT.methods))
    assert options(module.EXPERIMENT).methods == (first,)
    with pytest.raises(SystemExit) as stopped:
        module.main(["--help"])
    assert stopped.value.code == 0
    shown = capsys.readouterr().out
    for option in (
        "--data", "--layout", "--splits", "--patients", "--channels", "--published", "--method", "--definition",
        "--no-pictures", "--out", "--jobs", "--seed", "--limit", "--resume", "--scheduler", "--set", "--quick",
        "--test-channels",
    ):  # fmt: skip
        assert option in shown


def test_the_methods_for_mr_differ_in_one_setting_only():
    full, *others = (method.settings for method in chen_loocv.EXPERIMENT.methods.values())
    for other in others:
        differing = [key for key in vars(full) if getattr(full, key) != getattr(other, key)]
        assert differing == ["method"]


def test_a_folder_that_cannot_be_written_is_wrong_usage(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.open", refuse)
    with pytest.raises(UsageError, match="choose another --out"), RunFolder(tmp_path / "out", "m").held():
        pass


def test_help_names_the_protocols_where_there_are_several(capsys):
    for module, shown in ((glocker_2fold, True), (chen_loocv, False)):
        with pytest.raises(SystemExit):
            module.main(["--help"])
        assert ("{2-fold,csi2014}" in capsys.readouterr().out) is shown
