"""``regforest ivdm3seg``: one Dixon scan in, one binary mask out, as the challenge's containers were run."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from regforest.cli._batch import folder_to_write
from regforest.cli._parser import add_command, add_jobs
from regforest.errors import DataError, FileError, UsageError

_CHANNELS = ("fat", "inn", "opp", "wat")
_RESULT = "result.nii.gz"
_EXAMPLE = """\
  regforest train discs --data IVDM3SEG_DIR -o dixon.rfm
  regforest ivdm3seg /input -o /output --model dixon.rfm"""


def add_commands(commands: Any) -> None:
    """Add ``ivdm3seg``."""
    parser = add_command(commands, "ivdm3seg", run, "segment one scan as the IVDM3Seg challenge asks", _EXAMPLE)
    parser.add_argument(
        "input", nargs="?", type=Path, default=Path("/input"), metavar="DIR",
        help="folder with fat, inn, opp and wat (.nii.gz or .nii; default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "-o", "--out", type=Path, default=Path("/output"), metavar="DIR",
        help=f"folder for {_RESULT}, 1 in discs (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--model", required=True, metavar="FILE", help="of regforest train discs, on masks")
    add_jobs(parser)


def run(arguments: argparse.Namespace) -> int:
    """Read four channels, segment, write one mask on their grid."""
    from regforest.datasets.labelled_folder import read_aligned
    from regforest.discs import DiscLocalizer
    from regforest.io import write_label_image
    from regforest.spatial import Volume

    if not os.path.isfile(arguments.model):
        raise UsageError(f"--model: no file {arguments.model!r}; train one, see regforest ivdm3seg --help")
    out = folder_to_write(arguments.out)
    files = {channel: _file(arguments.input, channel) for channel in _CHANNELS}
    localizer = DiscLocalizer.load(arguments.model)
    if not localizer.segments:
        raise DataError(f"{arguments.model}: was trained on points alone; the challenge needs one trained on masks")
    found, labels = localizer.apply(read_aligned(files), n_jobs=arguments.jobs)
    mask = Volume((labels.voxels > 0).astype("uint8"), labels.grid)
    write_label_image(mask, {}, out / _RESULT, like=files[_CHANNELS[0]])
    reason = f" ({found.reason})" if found.reason else ""
    print(f"{out / _RESULT}: {found.status}{reason}: {' '.join(found.landmarks) or 'none'}")
    return 0


def _file(folder: Path, channel: str) -> Path:
    names = [f"{channel}.nii.gz", f"{channel}.nii"]
    there = [folder / name for name in names if os.path.lexists(folder / name)]
    if len(there) != 1:
        found = "both" if there else "none"
        raise FileError(folder, f"one of {' and '.join(names)}", found, "put the four channels of one scan there")
    return there[0]
