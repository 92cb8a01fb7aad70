"""``regforest train``: learn a model from a data set."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regforest.cli._batch import Failures, counted, each, folder_to_write, say, with_progress
from regforest.cli._console import announce_compilation
from regforest.cli._forecast import say_forecast, will_train
from regforest.cli._parser import add_command, add_jobs, add_out, positive, seed_number
from regforest.errors import DataError, UsageError

if TYPE_CHECKING:
    from regforest.datasets import Dataset
    from regforest.spatial import AnnotatedScan

_EXAMPLE = """\
  regforest phantom ct -n 40 --seed 0 -o phantoms
  regforest train vertebrae --data phantoms --layout spine-ct -o ct.rfm"""


def add_commands(commands: Any) -> None:
    """Add ``train``."""
    parser = add_command(commands, "train", run, "learn a model from annotated scans", _EXAMPLE)
    parser.add_argument(
        "what", choices=("vertebrae", "discs"), help="vertebrae in CT, or discs (any structures) in MR"
    )
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="data set")
    parser.add_argument(
        "--layout", choices=("auto", "spine-ct", "ivdm3seg", "labelled-folder", "lumbar-mri", "bids"), default="auto",
        help="how the data set is organised (default: told from the files)",
    )  # fmt: skip
    add_out(parser, "MODEL.rfm", "the model")
    parser.add_argument("--seed", type=seed_number, default=0, metavar="S", help="one seed, one model (default: 0)")
    parser.add_argument("--limit", type=positive, metavar="N", help="use the first N scans only")
    parser.add_argument("--quick", action="store_true", help="vertebrae: smallest useful settings, for a smoke run")
    add_jobs(parser)


def run(arguments: argparse.Namespace) -> int:
    """Open the data set, train, save."""
    from regforest.datasets import announce_terms, open_dataset

    if arguments.quick and arguments.what == "discs":
        raise UsageError("--quick is an option of train vertebrae; discs have no smaller settings")
    if arguments.out.exists():
        raise UsageError(f"{arguments.out} exists already: name a new file, nothing is overwritten")
    dataset = open_dataset(arguments.data, arguments.layout)
    folder_to_write(arguments.out.absolute().parent)
    announce_terms(dataset)
    for note in dataset.notes:
        say(f"{dataset.name}: {note}")
    failures = Failures()
    for fault in dataset.faults:
        failures.add(fault.case, DataError(fault.error))
    if not dataset.cases:
        raise DataError(f"{dataset.root}: no usable case; see the messages above")
    announce_compilation()
    if not arguments.quick:
        say_forecast(will_train(dataset.cases[: arguments.limit], arguments.what, arguments.jobs))
    scans = _scans(dataset, arguments.limit, failures)
    localizer = _vertebrae(arguments, scans) if arguments.what == "vertebrae" else _discs(arguments, scans)
    localizer.save(arguments.out)
    say(f"written: {arguments.out}")
    return failures.exit_code


def _vertebrae(arguments: argparse.Namespace, scans: Iterator[AnnotatedScan]) -> Any:
    from regforest.vertebrae import VertebraLocalizer, VertebraSettings

    localizer = VertebraLocalizer(VertebraSettings.quick() if arguments.quick else None, seed=arguments.seed)
    return localizer.fit(scans, progress=counted("grow trees", "tree"), n_jobs=arguments.jobs)


def _discs(arguments: argparse.Namespace, scans: Iterator[AnnotatedScan]) -> Any:
    from regforest.discs import DiscLocalizer

    localizer = DiscLocalizer(seed=arguments.seed)
    # the records are small, the scans are not: one scan in memory at a time
    records = [localizer.prepare(scan) for scan in scans]
    return localizer.fit(records, progress=counted("learn", "step"), n_jobs=arguments.jobs)


def _scans(dataset: Dataset, limit: int | None, failures: Failures) -> Iterator[AnnotatedScan]:
    cases = dataset.cases[:limit]
    shown = with_progress(cases, len(cases), "scan", "read scans")
    for _, scan in each(shown, lambda case: case.name, lambda case: case.load(), failures):
        for note in scan.notes:
            say(f"{scan.name}: {note}")
        yield scan
