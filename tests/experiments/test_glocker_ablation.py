import json
from dataclasses import replace
from pathlib import Path

import pytest

from experiments import glocker_2fold, glocker_ablation
from experiments.options import build_parser, parse, with_overrides


@pytest.mark.parametrize("name", [name for name in glocker_ablation.ABLATION.variants if name != "default"])
def test_every_row_changes_something_that_the_method_knows(name):
    methods = glocker_2fold.EXPERIMENT.methods
    parser = build_parser("glocker_2fold", "", ("spine-ct",), list(methods))
    options = parse(parser, list(methods), list(glocker_ablation.ABLATION.variants[name]))
    settings, unknown = with_overrides(methods[options.methods[0]].settings, options.overrides)
    assert not unknown
    assert settings != methods["forest"].settings


def test_the_table_tells_accuracy_and_cost(monkeypatch, tmp_path, capsys):
    def fake(argv):
        folder = Path(argv[argv.index("--out") + 1])
        (folder / "cases").mkdir(parents=True)
        every = {"identification_rate": 0.95, "mean_mm": 3.2, "median_mm": 2.1, "missed": 3, "false_alarms": 4}
        (folder / "summary.json").write_text(json.dumps({"regions": {"all": every}, "seconds": 61.0}))
        for k, seconds in enumerate((2.0, 3.0)):
            (folder / "cases" / f"{k}.json").write_text(json.dumps({"seconds": seconds}))
        return int("trees=10" in argv)

    monkeypatch.setattr(glocker_ablation, "ABLATION", replace(glocker_ablation.ABLATION, run=fake))
    assert glocker_ablation.main(["--only", "default;10 trees", "--out", str(tmp_path)]) == 1
    shown = capsys.readouterr().out
    assert "| default | 95.0 % | 3.2 (2.1) | 3 | 4 | 2.5 | 61 |" in shown
    assert "| 10 trees | 95.0 %" in shown
