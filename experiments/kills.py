"""Kill runs at random moments, go on, and compare with an unbroken run: ``python -m experiments.kills``.

A run gets SIGKILL, which nothing can catch: what is on the disk is all that is left. Runs are forked from a process
in which everything is loaded and compiled, so that the moments fall into the work.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from experiments import glocker_2fold
from regforest.cli import main as regforest
from regforest.datasets.phantoms.ct import write_ct_phantom

_SCANS = 6
_SETTINGS = ("spacing_mm=6.0", "trees=3", "features=60", "max_depth=10")


@dataclass(frozen=True)
class Subject:
    """A command that can go on, and what it leaves.

    Attributes
    ----------
    name : str
        For people.
    run : callable
        Carries it out for a list of arguments; returns the status.
    words : callable
        Output folder -> arguments.
    outcome : callable
        Output folder -> what must be equal in the end.
    stage : callable
        Output folder -> where a killed run was.
    """

    name: str
    run: Callable[[list[str]], int]
    words: Callable[[Path], list[str]]
    outcome: Callable[[Path], Any]
    stage: Callable[[Path], str]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one line for each kill and a table in the end; 1 if any run ended otherwise than the unbroken one."""
    options = _parser().parse_args(arguments)
    differing = 0
    with tempfile.TemporaryDirectory() as name:
        for subject in _subjects(Path(name)):
            if subject.name in (options.only or [subject.name]):
                differing += _killed_and_resumed(subject, Path(name), options.times, options.seed)
    return int(differing > 0)


def _killed_and_resumed(subject: Subject, folder: Path, times: int, seed: int) -> int:
    for out in (folder / f"{subject.name}-first", folder / f"{subject.name}-unbroken"):
        start = time.perf_counter()
        with (
            open(os.devnull, "w") as nowhere,
            contextlib.redirect_stdout(nowhere),
            contextlib.redirect_stderr(nowhere),
        ):
            subject.run(subject.words(out))
        seconds = time.perf_counter() - start
    expected = subject.outcome(out)
    rng = np.random.default_rng(seed)
    stages, differing = Counter[str](), 0
    for number in range(times):
        out = folder / f"{subject.name}{number}"
        moment = rng.uniform(0.0, seconds)
        while not _killed(subject, subject.words(out), moment):  # it was faster this time
            shutil.rmtree(out)
            moment = rng.uniform(0.0, moment)
        stage = subject.stage(out)
        if _ended(_forked(subject, [*subject.words(out), "--resume"])) != 0:
            raise RuntimeError(f"{subject.name} {number}: could not go on after {moment:.2f} s, {stage}")
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


def _killed(subject: Subject, words: list[str], seconds: float) -> bool:
    """Start a run and kill it; False if it had ended by then."""
    child, end = _forked(subject, words), time.perf_counter() + seconds
    while time.perf_counter() < end:
        if os.waitpid(child, os.WNOHANG)[0]:
            return False
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    return _ended(child) == -signal.SIGKILL


def _forked(subject: Subject, words: list[str]) -> int:
    """Run in a process of its own, silently; returns its number."""
    child = os.fork()
    if child == 0:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.dup2(nowhere, sys.stderr.fileno())
        status = 1
        try:
            status = subject.run(words)
        finally:
            os._exit(status)
    return child


def _ended(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _subjects(folder: Path) -> list[Subject]:
    data, model = folder / "phantoms", folder / "quick.rfm"
    write_ct_phantom(data, _SCANS, 0, layout="labelled-folder", matrix=64)
    regforest(["train", "vertebrae", "--data", str(data), "-o", str(model), "--quick"])
    images = [str(path) for path in sorted(data.glob("*/image.nii.gz"))]
    settings = [word for setting in _SETTINGS for word in ("--set", setting)]
    run = ["--data", str(data), *settings, "--jobs", "2"]
    label = ["label", *images, "--model", str(model)]
    return [
        Subject("experiment", glocker_2fold.main, lambda out: [*run, "--out", str(out)], _summary, _stage_of_run),
        Subject("label", regforest, lambda out: [*label, "-o", str(out)], _results, _stage_of_label),
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
    return (
        "while the first fold was learned" if not done else "among the cases" if done < _SCANS else "while reporting"
    )


def _stage_of_label(out: Path) -> str:
    done = len([path for path in out.glob("*.json") if not path.name.endswith(".mrk.json")])
    return "before the first image" if not done else "among the images" if done < _SCANS else "after the last image"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m experiments.kills", description=__doc__)
    parser.add_argument("--times", type=int, default=50, metavar="N", help="kills of each kind (default: 50)")
    parser.add_argument("--only", action="append", choices=("experiment", "label"), help="one kind of run")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the moments")
    return parser


if __name__ == "__main__":
    sys.exit(main())
