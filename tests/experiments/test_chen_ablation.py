import json
from dataclasses import replace
from pathlib import Path

import pytest

from experiments import chen_ablation, chen_loocv
from experiments.options import build_parser, parse, with_overrides


@pytest.fixture
def runs(monkeypatch):
    """Runs of chen_loocv that were asked for; each leaves a summary and a case."""
    asked = []

    def fake(argv):
        asked.append(argv)
        folder = Path(argv[argv.index("--out") + 1])
        (folder / "cases").mkdir(parents=True)
        measure = {"mean": 1.25, "median": 1.0}
        summary = {"landmark_mm": measure, "dice": {"mean": 0.9}, "surface_mm": measure, "missed": 1, "annotated": 7}
        (folder / "summary.json").write_text(json.dumps(summary))
        (folder / "cases" / "a.json").write_text(json.dumps({"seconds": 2.0}))
        return 0

    monkeypatch.setattr(chen_ablation, "ABLATION", replace(chen_ablation.ABLATION, run=fake))
    return asked


@pytest.mark.parametrize("name", [name for name in chen_ablation.ABLATION.variants if name != "default"])
def test_every_row_changes_something_that_the_method_knows(name):
    methods = chen_loocv.EXPERIMENT.methods
    parser = build_parser("chen_loocv", "", ("ivdm3seg",), list(methods))
    options = parse(parser, list(methods), list(chen_ablation.ABLATION.variants[name]))
    settings, unknown = with_overrides(methods[options.methods[0]].settings, options.overrides)
    assert not unknown
    assert settings != methods["data-driven"].settings


def test_rows_are_runs_of_their_own_and_end_in_one_table(runs, tmp_path, capsys):
    arguments = ["--data", "d", "--only", "default;k = 5;channels fat", "--channels", "fat", "--out", str(tmp_path)]
    assert chen_ablation.main(arguments) == 0
    assert len({argv[argv.index("--out") + 1] for argv in runs}) == 3
    assert "fine_joint.neighbours=5" in runs[1]
    assert runs[2][-2:] == ["--channels", "fat"]
    shown = capsys.readouterr().out
    assert shown == (tmp_path / "table.md").read_text()
    assert "| k = 5 | 1.25 (1.00) | 0.900 | 1.25 | 1 of 7 | 2.0 |" in shown


def test_channels_at_test_time_are_rows_of_their_own(runs, tmp_path, capsys):
    arguments = ["--test-channels", "fat;fat,wat", "--only", "default;only fat,wat at test time"]
    assert chen_ablation.main([*arguments, "--out", str(tmp_path)]) == 0
    assert runs[1][-2:] == ["--test-channels", "fat,wat"]
    assert "| only fat,wat at test time | 1.25" in capsys.readouterr().out


def test_rows_that_do_not_exist_are_refused(capsys):
    with pytest.raises(SystemExit):
        chen_ablation.main(["--only", "k = 6"])
    assert "k = 6" in capsys.readouterr().err
