"""``regforest phantom``: write made-up scans in a real layout."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from regforest.cli._batch import counted, folder_to_write, say
from regforest.cli._forecast import say_forecast, will_make
from regforest.cli._parser import add_command, add_jobs, add_out, positive, seed_number
from regforest.errors import UsageError

_LAYOUTS = {"ct": ("spine-ct", "labelled-folder"), "mr": ("ivdm3seg", "labelled-folder", "lumbar-mri")}
_EXAMPLE = """\
  regforest phantom ct -n 40 --seed 0 -o ct_phantoms
  regforest phantom ct --ids data_splits/fold1_recovered.txt --matrix 512 -o full_size_fold1
  regforest phantom mr -n 8 --seed 0 -o mr_phantoms --contrast t2
  regforest phantom mr -n 2 -o dicom_phantoms --layout lumbar-mri"""


def add_commands(commands: Any) -> None:
    """Add ``phantom``."""
    parser = add_command(commands, "phantom", run, "write made-up scans with their annotations", _EXAMPLE)
    parser.add_argument("kind", choices=("ct", "mr"), help="whole or cropped spines in CT, or lumbar spines in MR")
    parser.add_argument("-n", type=positive, metavar="N", help="scans; default: as many as --ids names")
    parser.add_argument(
        "--seed", type=seed_number, default=0, metavar="S", help="one seed, one data set (default: 0)"
    )
    add_out(parser, "DIR", "folder for the data set, new or empty")
    parser.add_argument(
        "--layout", choices=("spine-ct", "ivdm3seg", "labelled-folder", "lumbar-mri"),
        help="ct: spine-ct; mr: ivdm3seg for dixon, labelled-folder for t2 and t1 (defaults); "
        "lumbar-mri: DICOM studies of N patients with planted faults, no labels",
    )  # fmt: skip
    parser.add_argument("--ids", type=Path, metavar="FILE", help="ct: names of the scans, one a line")
    parser.add_argument(
        "--matrix", type=positive, metavar="N", help="ct: voxels along x and y; 512 is full size (default: 128)"
    )
    parser.add_argument("--contrast", choices=("dixon", "t2", "t1"), help="mr: default dixon")
    add_jobs(parser)


def run(arguments: argparse.Namespace) -> int:
    """Check the options and write the phantoms."""
    _refuse_contradictions(arguments)
    ids, count = _ids(arguments)
    out = arguments.out
    if out.is_dir() and any(out.iterdir()):
        raise UsageError(f"{out} is not empty: name a new folder, nothing is overwritten")
    folder_to_write(out)
    if arguments.kind == "ct":
        _write_ct(arguments, ids, count)
    else:
        _write_mr(arguments, count)
    say(f"written: {out}")
    return 0


def _refuse_contradictions(arguments: argparse.Namespace) -> None:
    kind, layout = arguments.kind, arguments.layout
    if layout is not None and layout not in _LAYOUTS[kind]:
        raise UsageError(f"phantom {kind} writes the layouts {' and '.join(_LAYOUTS[kind])}, not {layout}")
    if kind == "ct" and arguments.contrast is not None:
        raise UsageError("--contrast is an option of phantom mr")
    if kind == "mr" and (arguments.ids is not None or arguments.matrix is not None):
        raise UsageError("--ids and --matrix are options of phantom ct")
    if kind == "mr" and arguments.contrast in ("t2", "t1") and layout == "ivdm3seg":
        raise UsageError(f"--layout ivdm3seg holds Dixon channels; for {arguments.contrast} take labelled-folder")
    if layout == "lumbar-mri" and arguments.contrast is not None:
        raise UsageError("--layout lumbar-mri holds T2 and T1 series: leave out --contrast")


def _write_ct(arguments: argparse.Namespace, ids: tuple[str, ...] | None, count: int) -> None:
    from regforest.datasets.phantoms.ct import DEFAULT_MATRIX, write_ct_phantom

    matrix = arguments.matrix or DEFAULT_MATRIX
    say_forecast(will_make("ct", count, arguments.jobs, (matrix / DEFAULT_MATRIX) ** 2))
    write_ct_phantom(
        arguments.out,
        count,
        arguments.seed,
        layout=arguments.layout or "spine-ct",
        ids=ids,
        matrix=matrix,
        jobs=arguments.jobs,
        progress=counted("phantom", "scan"),
    )


def _write_mr(arguments: argparse.Namespace, count: int) -> None:
    from regforest.datasets.phantoms.mr import write_mr_phantom

    say_forecast(will_make("lumbar-mri" if arguments.layout == "lumbar-mri" else "mr", count, arguments.jobs))
    if arguments.layout == "lumbar-mri":
        from regforest.datasets.phantoms.lumbar_dicom import write_lumbar_phantom

        write_lumbar_phantom(
            arguments.out, count, arguments.seed, jobs=arguments.jobs, progress=counted("phantom", "patient")
        )
        return
    contrast = arguments.contrast or "dixon"
    write_mr_phantom(
        arguments.out,
        count,
        arguments.seed,
        contrast=contrast,
        layout=arguments.layout or ("ivdm3seg" if contrast == "dixon" else "labelled-folder"),
        jobs=arguments.jobs,
        progress=counted("phantom", "scan"),
    )


def _ids(arguments: argparse.Namespace) -> tuple[tuple[str, ...] | None, int]:
    if arguments.ids is None:
        if arguments.n is None:
            raise UsageError("say how many scans: -n N")
        return None, arguments.n
    from regforest.datasets.splits import read_id_list

    ids = read_id_list(arguments.ids)
    count = arguments.n or len(ids)
    if count > len(ids):
        raise UsageError(f"-n {count} asks for more scans than the {len(ids)} ids of {arguments.ids}")
    return ids[:count], count
