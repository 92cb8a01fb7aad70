"""Kill runs at random moments, go on with --resume, and compare with an unbroken run: ``python -m benchmarks.kills``.

Every process of the run gets SIGKILL, which nothing can catch: what is on the disk is all that is left.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.small_scans import crops, small_model, small_phantoms

_ROOT = Path(__file__).parents[1]
_SETTINGS = ("spacing_mm=6.0", "trees=3", "features=60", "max_depth=10")


@dataclass(frozen=True)
class Subject:
    """A command that can go on, and what it leaves.

    Attributes
    ----------
    name : str
        For people.
    command : callable
        Output folder -> words.
    outcome : callable
        Output folder -> what must be equal in the end.
    stage : callable
        Output folder -> where a killed run was.
    """

    name: str
    command: Callable[[Path], list[str]]
    outcome: Callable[[Path], Any]
    stage: Callable[[Path], str]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one line for each kill and a table in the end; 1 if any run ended otherwise than the unbroken one."""
    options = _parser().parse_args(arguments)
    differing = 0
    with tempfile.TemporaryDirectory() as name:
        for subject in _subjects(Path(name), options):
            if subject.name in (options.only or [subject.name]):
                differing += _killed_and_resumed(subject, Path(name), options.times, options.seed)
    return int(differing > 0)


def _killed_and_resumed(subject: Subject, folder: Path, times: int, seed: int) -> int:
    start = time.perf_counter()
    _finish(subject.command(folder / "unbroken"))
    expected, seconds = subject.outcome(folder / "unbroken"), time.perf_counter() - start
    rng = np.random.default_rng(seed)
    stages, differing = Counter[str](), 0
    for number in range(times):
        out = folder / f"{subject.name}{number}"
        moment = rng.uniform(0.0, seconds)
        while not _killed(subject.command(out), moment):  # it was faster this time
            shutil.rmtree(out)
            moment = rng.uniform(0.0, moment)
        stage = subject.stage(out)
        _finish([*subject.command(out), "--resume"])
        same = subject.outcome(out) == expected and not list(out.rglob(".writing-*")) and not (out / ".lock").exists()
        stages[stage] += 1
        differing += not same
        verdict = "same" if same else "DIFFERENT"
        print(f"{subject.name} {number}: killed after {moment:.2f} s, {stage}: {verdict}", flush=True)
    _print_table(subject.name, stages, differing)
    return differing


def _print_table(name: str, stages: Counter[str], differing: int) -> None:
    print(f"\n| {name} killed | times |\n|---|---|")
    for stage, count in sorted(stages.items()):
        print(f"| {stage} | {count} |")
    print(f"| ended otherwise than the unbroken run | {differing} of {sum(stages.values())} |\n", flush=True)


def _killed(command: list[str], seconds: float) -> bool:
    """Start a command and kill it; False if it had ended by then."""
    process = subprocess.Popen(
        command, cwd=_ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
        return False
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return True


def _finish(command: list[str]) -> None:
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")


def _subjects(folder: Path, options: argparse.Namespace) -> list[Subject]:
    data = small_phantoms(6)
    images = [str(path) for path in crops(data, 24, folder / "images")]
    model = small_model(data, folder / "small.rfm")
    settings = [word for setting in _SETTINGS for word in ("--set", setting)]
    scheduler = ["--scheduler", options.scheduler] if options.scheduler else []
    run = [sys.executable, "-m", "experiments.glocker_2fold", "--data", str(data), *settings, *scheduler, "--jobs", "2"]
    label = [sys.executable, "-c", "from regforest.cli import main; raise SystemExit(main())", "label", *images]
    return [
        Subject("experiment", lambda out: [*run, "--out", str(out)], _summary, _stage_of_run),
        Subject("label", lambda out: [*label, "-o", str(out), "--model", str(model)], _results, _stage_of_label),
    ]


def _summary(out: Path) -> Any:
    content = json.loads((out / "summary.json").read_text())
    return {key: value for key, value in content.items() if key != "seconds"}


def _results(out: Path) -> Any:
    return {path.name: path.read_bytes() for path in sorted(out.iterdir()) if not path.name.startswith(".")}


def _stage_of_run(out: Path) -> str:
    if not (out / "manifest.json").exists():
        return "before it had begun"
    if json.loads((out / "manifest.json").read_text())["finished"]:
        return "while ending"
    done = len(list((out / "cases").glob("*.json")))
    return "while the first fold was learned" if not done else "among the cases" if done < 6 else "while reporting"


def _stage_of_label(out: Path) -> str:
    done = len([path for path in out.glob("*.json") if not path.name.endswith(".mrk.json")])
    return "before the first image" if not done else "among the images" if done < 24 else "after the last image"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kills", description=__doc__)
    parser.add_argument("--times", type=int, default=50, metavar="N", help="kills of each kind (default: 50)")
    parser.add_argument("--only", action="append", choices=("experiment", "label"), help="one kind of run")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="as for the experiment, local:2 say")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the moments")
    return parser


if __name__ == "__main__":
    sys.exit(main())
