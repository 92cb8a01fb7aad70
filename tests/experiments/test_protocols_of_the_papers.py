"""The two experiments as the papers describe them, without running the methods."""

import pytest

from experiments import chen_loocv, glocker_2fold
from experiments.options import build_parser, parse
from experiments.outputs import RunFolder
from regforest.datasets import Case, Dataset, read_splits


class Named(Case):
    def read_channels(self):
        raise NotImplementedError

    def load(self):
        raise NotImplementedError


def dataset(pairs, root):
    return Dataset("demo", "spine-ct", root, tuple(Named(name, patient, {}, None) for name, patient in pairs))


def options(experiment, *argv):
    methods = list(experiment.methods)
    return parse(build_parser(experiment.name, "", experiment.layouts, methods), methods, argv)


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


def test_both_scans_of_a_patient_are_left_out(tmp_path):
    pairs = [(f"{p}{s}", f"p{p}") for p in range(8) for s in "12"]
    folds, _ = chen_loocv.patients_left_out(dataset(pairs, tmp_path), options(chen_loocv.EXPERIMENT))
    assert len(folds) == 8
    assert all(len(fold.test) == 2 and len(fold.train) == 14 for fold in folds)


def test_methods_of_later_releases_are_refused_with_the_reason(tmp_path, capsys):
    assert chen_loocv.main(["--method", "forest", "--out", str(tmp_path / "out"), "--data", str(tmp_path)]) == 2
    assert "later release" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


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
    ):  # fmt: skip
        assert option in shown


def test_the_ablation_differs_from_the_method_in_one_setting_only():
    full, ablation = (chen_loocv.EXPERIMENT.methods[name].settings for name in ("data-driven", "knn"))
    differing = [key for key in vars(full) if getattr(full, key) != getattr(ablation, key)]
    assert differing == ["method"]


def test_a_folder_that_cannot_be_written_is_wrong_usage(tmp_path, monkeypatch):
    from regforest.errors import UsageError

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.open", refuse)
    with pytest.raises(UsageError, match="choose another --out"), RunFolder(tmp_path / "out", "m").held():
        pass
