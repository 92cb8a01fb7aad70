"""The CT experiment at the smallest scale, and what must be the same however it is run."""

from __future__ import annotations

import json
from pathlib import Path

from experiments import glocker_2fold

SETTINGS = ["--set", "spacing_mm=6.0", "--set", "trees=3", "--set", "features=60", "--set", "max_depth=10"]


def arguments(data: Path, out: Path, *options: str) -> list[str]:
    return ["--data", str(data), "--out", str(out), "--no-pictures", *SETTINGS, *options]


def run(data: Path, out: Path, *options: str) -> int:
    return glocker_2fold.main(arguments(data, out, *options))


def summary_of(out: Path) -> dict[str, object]:
    content = json.loads((out / "summary.json").read_text())
    return {key: value for key, value in content.items() if key != "seconds"}


def predictions_of(out: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted((out / "predictions").iterdir())}
