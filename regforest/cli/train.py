"""``regforest train``: learn a model from a data set."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regforest.cli._batch import Failures, counted, each, folder_to_write, say, with_progress
from regforest.cli._console import announce_compilation
from regforest.cli._forecast import say_forecast, will_train
from regforest.cli._parser import add_command, add_jobs, add_max_memory, add_out, positive, seed_number
from regforest.errors import DataError, UsageError

if TYPE_CHECKING:
    from regforest.datasets import Dataset
    from regforest.spatial import AnnotatedScan, ScanSize

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
    add_max_memory(parser, "no bound")


def run(arguments: argparse.Namespace) -> int:
    """Open the data set, train, save."""
    from regforest.datasets import announce_terms, open_dataset, readable_sizes

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
    bounded = arguments.max_memory is not None
    sizes = list(readable_sizes(dataset.cases[: arguments.limit] if bounded else ()).values())
    learn = _vertebrae if arguments.what == "vertebrae" else _discs
    localizer = learn(arguments, scans, sizes)
    localizer.save(arguments.out)
    say(f"written: {arguments.out}")
    return failures.exit_code


def _vertebrae(arguments: argparse.Namespace, scans: Iterator[AnnotatedScan], sizes: list[ScanSize]) -> Any:
    from regforest.vertebrae import VertebraLocalizer, VertebraSettings
    from regforest.vertebrae.memory import LEARN_LESS

    localizer = VertebraLocalizer(VertebraSettings.quick() if arguments.quick else None, seed=arguments.seed)
    free_mb = _free_mb(arguments)
    if sizes:
        localizer.training_need(sizes, arguments.jobs).check(free_mb, "training", LEARN_LESS)
    progress = counted("grow trees", "tree")
    return localizer.fit(scans, progress=progress, n_jobs=arguments.jobs, max_memory_mb=free_mb)


def _discs(arguments: argparse.Namespace, scans: Iterator[AnnotatedScan], sizes: list[ScanSize]) -> Any:
    from regforest.discs import DiscLocalizer
    from regforest.discs.memory import LEARN_LESS

    localizer = DiscLocalizer(seed=arguments.seed)
    free_mb = _free_mb(arguments)
    if sizes:
        localizer.training_need(sizes).check(free_mb, "training", LEARN_LESS)
    # the records are small, the scans are not: one scan in memory at a time
    records: list[Any] = []
    for scan in scans:
        left_mb = None if free_mb is None else free_mb - sum(record.size_mb for record in records)
        records.append(localizer.prepare(scan, left_mb))
    return localizer.fit(records, counted("learn", "step"), arguments.jobs, free_mb)


def _free_mb(arguments: argparse.Namespace) -> float | None:
    """Leave out of the bound what the process has already."""
    from regforest._memory import resident_mb

    return None if arguments.max_memory is None else arguments.max_memory - resident_mb()


def _scans(dataset: Dataset, limit: int | None, failures: Failures) -> Iterator[AnnotatedScan]:
    cases = dataset.cases[:limit]
    shown = with_progress(cases, len(cases), "scan", "read scans")
    for _, scan in each(shown, lambda case: case.name, lambda case: case.load(), failures):
        for note in scan.notes:
            say(f"{scan.name}: {note}")
        yield scan
