"""Measure the package against its peers: ``python -m benchmarks``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import coarse, features, memory, prediction, resampling, scaling, training, volume
from benchmarks.results import write_results
from benchmarks.scales import FULL, QUICK
from benchmarks.session import Benchmark, Session
from benchmarks.table import Record, text
from regforest.io import write_json

BENCHMARKS = (
    Benchmark("integral", "summed-volume table against numpy", features.run_integral),
    Benchmark("dense", "dense features on one core, beside memcpy", features.run_dense),
    Benchmark("resampling", "resampling against SimpleITK and scipy", resampling.run),
    Benchmark("reading", "reading mhd/raw against SimpleITK", resampling.run_reading),
    Benchmark("volume", "whole-volume prediction against features first, then another library", volume.run),
    Benchmark("rows", "prediction of feature rows against scikit-learn, onnxruntime, sklearnex", prediction.run),
    Benchmark("coarse", "coarse-to-fine against every voxel, on phantoms and real CT", coarse.run),
    Benchmark("memory", "peak memory for a volume of 6 M voxels", memory.run),
    Benchmark("training", "training of a classifier against scikit-learn and sklearnex", training.run_classification),
    Benchmark("regression", "training of a regressor of six outputs against scikit-learn", training.run_regression),
    Benchmark("scaling", "cost as volume, trees, depth, pool, classes and rows grow", scaling.run),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for; progress goes to stderr, the table to stdout."""
    options = _parser().parse_args(arguments)
    if options.list:
        print("\n".join(f"{benchmark.name:<12}{benchmark.summary}" for benchmark in BENCHMARKS))
        return 0
    session = Session(QUICK if options.quick else FULL, options.repeats or (2 if options.quick else 5))
    rows: list[Record] = []
    for benchmark in BENCHMARKS:
        if not options.only or benchmark.name in options.only:
            print(f"{benchmark.name}: {benchmark.summary}", file=sys.stderr, flush=True)
            rows += [row.to_json(benchmark.name, judged=not session.quick) for row in benchmark.run(session)]
    print(text(rows))
    if options.json:
        write_json(options.json, rows)
    if options.write:
        write_results(rows, _command(options))
    return 0


def _command(options: argparse.Namespace) -> str:
    """The command without what has no part in the numbers, such as where they were written to."""
    words = ["python", "-m", "benchmarks", *(word for name in options.only or () for word in ("--only", name))]
    words += ["--repeats", str(options.repeats)] if options.repeats else []
    return " ".join(words + ["--quick"] * options.quick + ["--write"])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = [benchmark.name for benchmark in BENCHMARKS]
    parser.add_argument(
        "--only", action="append", choices=names, metavar="NAME", help="only this one; may be repeated"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows to a file")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, for a smoke test")
    parser.add_argument("--list", action="store_true", help="say what there is, and stop")
    parser.add_argument(
        "--repeats", type=int, metavar="N", help="pairs of each row (default: 5; at most 3 of slow peers)"
    )
    parser.add_argument("--write", action="store_true", help="write benchmarks/RESULTS.md and the plot beside it")
    return parser


if __name__ == "__main__":
    sys.exit(main())
