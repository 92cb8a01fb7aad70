"""``regforest label`` and ``regforest discs``: apply a model to images."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regforest.cli._batch import Failures, each, folder_to_write, say, with_progress
from regforest.cli._inputs import Input, cases_of, images_of
from regforest.cli._parser import add_command, add_jobs, add_max_memory, add_out
from regforest.cli._results import ResultFolder
from regforest.errors import DataError, UsageError

if TYPE_CHECKING:
    from regforest._memory import MemoryNeed
    from regforest.spatial import Localization, Volume

_LABEL_EXAMPLE = """\
  regforest label scan1.nii.gz scan2.mhd -o labelled --model ct.rfm --resume
  regforest label scan.nii.gz -o labelled --model ct.rfm --anchor L5=4.5,-20,-312"""
_DISCS_EXAMPLE = """\
  regforest discs lumbar.nii.gz -o discs --model mr.rfm --segment
  regforest discs patient7/image_*.nii.gz -o discs --model dixon.rfm --jobs 2
  regforest discs lumbar.nii.gz -o discs --model mr.rfm --anchor L4/L5=4.5,-20,-312"""
_VOXEL_BYTES = 4  # at most, of an image as it is read
_TRAINING = {
    "label": "regforest phantom ct -n 40 --seed 0 -o DIR, then regforest train vertebrae --data DIR -o MODEL.rfm",
    "discs": "regforest phantom mr -n 8 --seed 0 -o DIR, then regforest train discs --data DIR -o MODEL.rfm",
}


def add_commands(commands: Any) -> None:
    """Add ``label`` and ``discs``."""
    label = add_command(commands, "label", run_label, "find and name the vertebrae in CT scans", _LABEL_EXAMPLE)
    _add_options(label, "L5")
    label.set_defaults(segment=False)
    discs = add_command(commands, "discs", run_discs, "find, name and segment discs in MR scans", _DISCS_EXAMPLE)
    _add_options(discs, "L4/L5")
    discs.add_argument("--segment", action="store_true", help="write <stem>_seg.nii.gz on the grid of the image too")


def run_label(arguments: argparse.Namespace) -> int:
    """Label vertebrae: every image is a case."""
    return _run(arguments, images_of(arguments.images))


def run_discs(arguments: argparse.Namespace) -> int:
    """Label discs: several channels make one case."""
    return _run(arguments, cases_of(arguments.images))


def _add_options(parser: argparse.ArgumentParser, level: str) -> None:
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help=".nii .nii.gz .mha .mhd .nrrd")
    add_out(parser, "OUT", "folder for <stem>.mrk.json, <stem>.lml and <stem>.json")
    parser.add_argument("--model", metavar="FILE|NAME", help="model file, or the name of a built-in model")
    parser.add_argument("--resume", action="store_true", help="skip images whose results are complete")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    parser.add_argument("--preview", action="store_true", help="write <stem>.png, a picture of the result")
    parser.add_argument(
        "--anchor", action="append", default=[], type=_anchor, metavar=f"{level}=x,y,z",
        help="a level that you know, and a point on it in LPS mm (one image only)",
    )  # fmt: skip
    add_jobs(parser)
    add_max_memory(parser)


def _run(arguments: argparse.Namespace, inputs: Sequence[Input]) -> int:
    anchor = _checked_anchors(arguments.anchor, len(inputs))
    suffixes = [".mrk.json", ".lml", ".json", *(["_seg.nii.gz"] if arguments.segment else [])]
    folder = ResultFolder(folder_to_write(arguments.out), suffixes, _identity(arguments, anchor))
    with folder.held():
        return _label(arguments, inputs, folder, anchor)


def _label(
    arguments: argparse.Namespace, inputs: Sequence[Input], folder: ResultFolder, anchor: Mapping[str, Any]
) -> int:
    todo, suspects = _to_do(inputs, folder, arguments.resume)
    failures = Failures()
    results: dict[str, Any] = {i.stem: folder.finished(i) for i in inputs if i not in todo}
    if todo:
        worker = _Worker(arguments, _load(arguments), anchor)
        folder.begin()
        for case, result in _outcomes(todo, suspects, worker, folder, failures):
            results[case.stem] = result
            if not arguments.json:
                print(_line(case.stem, result), flush=True)
    if arguments.json:
        failed = [{"image": case.name, "error": failures[case.name]} for case in inputs if case.name in failures]
        done = [results[case.stem] for case in inputs if case.stem in results]
        print(json.dumps({"results": done, "failed": failed}, indent=1))
    return failures.exit_code


def _outcomes(
    todo: Sequence[Input], suspects: set[str], worker: _Worker, folder: ResultFolder, failures: Failures
) -> Iterator[tuple[Input, dict[str, Any]]]:
    """Label every image; what a killed run was at, and what may have failed for want of memory, comes last."""
    again = [case for case in todo if case.stem in suspects]
    first = [case for case in todo if case.stem not in suspects]
    shown = with_progress(first, len(first), "image")
    yield from each(shown, lambda case: case.name, folder.noted(worker), failures, again=again)
    yield from each(again, lambda case: case.name, folder.noted(worker.sparing), failures)


def _identity(arguments: argparse.Namespace, anchor: Mapping[str, Any]) -> dict[str, Any]:
    """Return what decides the results beside the images."""
    from regforest.io import fingerprint

    model = arguments.model
    return {
        "command": arguments.command,
        "model": fingerprint([Path(model)]) if model is not None and Path(model).is_file() else model,
        "segment": arguments.segment,
        "anchor": {name: list(point) for name, point in anchor.items()},
    }


class _Worker:
    """Everything between an image and its result files."""

    def __init__(self, arguments: argparse.Namespace, localizer: Any, anchor: Mapping[str, Any]) -> None:
        from regforest._memory import resident_mb
        from regforest._threads import pin_blas

        pin_blas()  # the localizer has been loaded, and BLAS with it
        self.arguments, self.localizer, self.anchor = arguments, localizer, anchor
        limit_mb = arguments.max_memory
        self.free_mb = None if limit_mb is None else limit_mb - resident_mb()

    def __call__(self, case: Input) -> dict[str, Any]:
        """Read, localize, write; the JSON comes last and so marks the case as complete."""
        if self.free_mb is not None:
            self._need(case, self.arguments.jobs).check(self.free_mb, case.name)
        return self._labelled(case, self.arguments.jobs, self.free_mb)

    def sparing(self, case: Input) -> dict[str, Any]:
        """Do the same with as little memory as possible."""
        need = self._need(case, 1)
        need.check(self.free_mb, case.name)
        return self._labelled(case, 1, need.least_mb)

    def _need(self, case: Input, jobs: int) -> MemoryNeed:
        """Bound the memory of a case by the headers of its images."""
        from regforest.io import read_grid

        grids = [read_grid(file) for file in case.files.values()]
        need: MemoryNeed = self.localizer.memory_need(grids[0], _VOXEL_BYTES * len(grids), jobs)
        return need

    def _labelled(self, case: Input, jobs: int, max_memory_mb: float | None) -> dict[str, Any]:
        from regforest.datasets.labelled_folder import read_aligned
        from regforest.io import write_json, write_label_image, write_landmarks

        channels = read_aligned(case.files)
        image = next(iter(channels.values()))
        for name, point in self.anchor.items():
            if not image.grid.contains([point]).all():
                raise DataError(f"--anchor {name}={point} lies outside {case.name}; expected LPS millimetres")
        found, labels = self._apply(channels, jobs, max_memory_mb)
        target = self.arguments.out / case.stem
        for suffix in (".mrk.json", ".lml"):
            write_landmarks(found.landmarks, f"{target}{suffix}", image.grid)
        if labels is not None:
            like = next(iter(case.files.values()))
            write_label_image(labels, self.localizer.label_names, f"{target}_seg.nii.gz", like)
        if self.arguments.preview:
            from regforest.report import preview_png

            preview_png(image, found, f"{target}.png")
        result = found.to_json(case.name)
        write_json(f"{target}.json", result)
        return result

    def _apply(
        self, channels: Mapping[str, Volume], jobs: int, max_memory_mb: float | None
    ) -> tuple[Localization, Volume | None]:
        given = channels["image"] if list(channels) == ["image"] else channels
        options = {"anchor": self.anchor or None, "n_jobs": jobs, "max_memory_mb": max_memory_mb}
        if self.arguments.segment:
            found, labels = self.localizer.apply(given, **options)
            return found, labels
        return self.localizer.localize(given, **options), None


def _load(arguments: argparse.Namespace) -> Any:
    model = arguments.model
    if model is None or not Path(model).is_file():
        given = f"no model file {model!r}, and no" if model else "no --model given, and no"
        raise UsageError(f"{given} models are built into this version; train one: {_TRAINING[arguments.command]}")
    if arguments.command == "label":
        from regforest.vertebrae import VertebraLocalizer

        return VertebraLocalizer.load(model)
    from regforest.discs import DiscLocalizer

    return DiscLocalizer.load(model)


def _anchor(text: str) -> tuple[str, tuple[float, float, float]]:
    name, _, coordinates = text.partition("=")
    try:
        x, y, z = (float(value) for value in coordinates.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected LEVEL=x,y,z in LPS mm, got {text!r}") from None
    return name, (x, y, z)


def _checked_anchors(
    anchors: Sequence[tuple[str, tuple[float, float, float]]], cases: int
) -> dict[str, tuple[float, float, float]]:
    if not anchors:
        return {}
    from regforest.errors import LevelError
    from regforest.spatial.levels import level

    if cases > 1:
        raise UsageError(f"--anchor is a point in one image, but {cases} were given: label them one by one")
    try:
        return {level(name).name: point for name, point in anchors}
    except LevelError as error:
        raise UsageError(f"--anchor: {error}") from error


def _to_do(inputs: Sequence[Input], folder: ResultFolder, resume: bool) -> tuple[list[Input], set[str]]:
    """Return the cases that are not complete, and the stems of those that a killed run was at."""
    if not resume:
        folder.refuse_existing(inputs)
        return list(inputs), set()
    suspects = folder.refuse_changed(inputs)
    todo = [case for case in inputs if folder.finished(case) is None]
    if len(todo) < len(inputs):
        say(f"{len(inputs) - len(todo)} of {len(inputs)} are complete and skipped")
    return todo, suspects


def _line(stem: str, result: Mapping[str, Any]) -> str:
    levels = " ".join(level["level"] for level in result["levels"]) or "none"
    reason = f" ({result['reason']})" if result["reason"] else ""
    return f"{stem}: {result['status']}{reason}: {levels}"
