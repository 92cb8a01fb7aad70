"""``regforest label`` and ``regforest discs``: apply a model to images."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regforest._version import __version__
from regforest.cli._batch import Failures, detail, each, folder_to_write, result, say, with_progress
from regforest.cli._console import announce_compilation
from regforest.cli._forecast import say_forecast, will_label
from regforest.cli._inputs import Input, bids_folders, cases_of, images_of
from regforest.cli._parser import add_command, add_jobs, add_max_memory, add_out
from regforest.cli._results import ResultFolder
from regforest.errors import DataError, UsageError

if TYPE_CHECKING:
    from regforest._memory import MemoryNeed
    from regforest.spatial import Localization, Volume

_LABEL_EXAMPLE = """\
  regforest label scan1.nii.gz scan2.mhd -o labelled --model ct.rfm --resume
  regforest label scan.nii.gz -o labelled --model ct.rfm --anchor L5=4.5,-20,-312
  regforest label dicom_folder -o labelled --model ct.rfm --series-uid 1.2.840.1
  regforest label BIDS_DIR -o BIDS_DIR/derivatives/regforest --model ct.rfm"""
_DISCS_EXAMPLE = """\
  regforest discs lumbar.nii.gz -o discs --model mr.rfm --segment
  regforest discs patient7/image_*.nii.gz -o discs --model dixon.rfm --jobs 2
  regforest discs lumbar.nii.gz -o discs --model mr.rfm --anchor L4/L5=4.5,-20,-312"""
_DEFAULT_MODELS = {"label": "ct-phantom", "discs": "mr-phantom"}
_LOOK = "; open the .html of a scan to look at it"
_VOXEL_BYTES = 4  # at most, of an image as it is read
_TRAINING = {
    "label": "regforest phantom ct -n 40 --seed 0 -o DIR, then regforest train vertebrae --data DIR -o MODEL.rfm",
    "discs": "regforest phantom mr -n 8 --seed 0 -o DIR, then regforest train discs --data DIR -o MODEL.rfm",
}


def add_commands(commands: Any) -> None:
    """Add ``label`` and ``discs``."""
    label = add_command(commands, "label", run_label, "find and name the vertebrae in CT scans", _LABEL_EXAMPLE)
    _add_options(label, "L5", _DEFAULT_MODELS["label"])
    label.set_defaults(segment=False)
    discs = add_command(commands, "discs", run_discs, "find, name and segment discs in MR scans", _DISCS_EXAMPLE)
    _add_options(discs, "L4/L5", _DEFAULT_MODELS["discs"])
    discs.add_argument("--segment", action="store_true", help="write <stem>_seg.nii.gz too, with its tables of names")


def run_label(arguments: argparse.Namespace) -> int:
    """Label vertebrae: every image is a case."""
    return _run(arguments, images_of(arguments.images))


def run_discs(arguments: argparse.Namespace) -> int:
    """Label discs: several channels make one case."""
    return _run(arguments, cases_of(arguments.images))


def _add_options(parser: argparse.ArgumentParser, level: str, model: str) -> None:
    parser.add_argument(
        "images", nargs="+", type=Path, metavar="IMAGE",
        help=".nii .nii.gz .mha .mhd .nrrd; DICOM: a folder, .zip or file; or a BIDS folder",
    )  # fmt: skip
    add_out(parser, "OUT", "folder for <stem>.mrk.json, <stem>.lml and <stem>.json")
    parser.add_argument(
        "--model", metavar="FILE|NAME", help=f"model file, or the name of a built-in model (default: {model})"
    )
    parser.add_argument(
        "--series-uid", metavar="UID",
        help="DICOM: the series to read (one image only; default: the best fit with most slices)",
    )  # fmt: skip
    parser.add_argument("--resume", action="store_true", help="skip images whose results are complete")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    parser.add_argument("--preview", action="store_true", help="write the picture <stem>.png and <stem>.html")
    parser.add_argument(
        "--anchor", action="append", default=[], type=_anchor, metavar=f"{level}=x,y,z",
        help="a level that you know, and a point on it in LPS mm (one image only)",
    )  # fmt: skip
    add_jobs(parser)
    add_max_memory(parser)


def _run(arguments: argparse.Namespace, inputs: Sequence[Input]) -> int:
    anchor = _checked_anchors(arguments.anchor, len(inputs))
    if arguments.series_uid is not None and len(inputs) > 1:
        raise UsageError(f"--series-uid is a series of one image, but {len(inputs)} were given: name it alone")
    model = _model_file(arguments)
    made_with = _made_with(model, anchor, arguments.series_uid)
    folder = ResultFolder(folder_to_write(arguments.out), arguments.segment, made_with)
    with folder.held():
        return _label(arguments, inputs, folder, model, anchor)


def _label(
    arguments: argparse.Namespace,
    inputs: Sequence[Input],
    folder: ResultFolder,
    model: Path,
    anchor: Mapping[str, Any],
) -> int:
    results = folder.stored(inputs) if arguments.resume else {}
    if results:
        say(f"{len(results)} of {len(inputs)} are complete and skipped")
    todo = [case for case in inputs if case.stem not in results]
    if not arguments.resume:
        folder.refuse_existing(inputs)
    failures = Failures()
    if todo:
        worker = _Worker(arguments, _load(arguments.command, model), anchor, folder.made_with)
        _describe_derivative(folder.path, arguments.images)
        say_forecast(will_label(todo, arguments.command, arguments.jobs))
        for case, found in _outcomes(todo, worker, folder, failures):
            results[case.stem] = found
            if not arguments.json:
                result(_line(case.stem, found))
        if len(failures) < len(todo):
            say(f"written: {folder.path}{_LOOK if arguments.preview else ''}")
    if arguments.json:
        failed = [{"image": case.name, "error": failures[case.name]} for case in inputs if case.name in failures]
        done = [results[case.stem] for case in inputs if case.stem in results]
        print(json.dumps({"results": done, "failed": failed}, indent=1))
    return failures.exit_code


def _outcomes(
    todo: Sequence[Input], worker: _Worker, folder: ResultFolder, failures: Failures
) -> Iterator[tuple[Input, dict[str, Any]]]:
    """Label every image; what a killed run was at, and what may have failed for want of memory, comes last."""
    suspects = folder.journal.unfinished()
    again = [case for case in todo if case.stem in suspects]
    first = [case for case in todo if case.stem not in suspects]
    shown = with_progress(first, len(first), "image", worker.arguments.command)
    yield from each(shown, lambda case: case.name, folder.noted(worker), failures, again=again)
    yield from each(again, lambda case: case.name, folder.noted(worker.sparing), failures)


def _describe_derivative(out: Path, paths: Sequence[Path]) -> None:
    """Make the folder of results a BIDS derivative, if a BIDS folder is among the inputs."""
    from regforest.datasets.bids_files import DESCRIPTION, IGNORED, derivative_description
    from regforest.io import write_json, write_text

    for source in bids_folders(paths):
        write_json(out / DESCRIPTION, derivative_description(out, source))
        write_text(out / ".bidsignore", IGNORED)


class _Worker:
    """Everything between an image and its result files."""

    def __init__(
        self, arguments: argparse.Namespace, localizer: Any, anchor: Mapping[str, Any], made_with: Mapping[str, Any]
    ) -> None:
        self.arguments, self.localizer, self.anchor, self.made_with = arguments, localizer, anchor, made_with
        from regforest._memory import resident_mb
        from regforest._threads import pin_blas

        announce_compilation()
        pin_blas()  # the localizer has been loaded, and BLAS with it
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

        grids = [read_grid(file, self.arguments.series_uid) for file in case.files.values()]
        need: MemoryNeed = self.localizer.memory_need(grids[0], _VOXEL_BYTES * len(grids), jobs)
        return need

    def _labelled(self, case: Input, jobs: int, max_memory_mb: float | None) -> dict[str, Any]:
        from regforest.io import (
            write_bids_labels,
            write_json,
            write_label_image,
            write_label_tables,
            write_landmarks,
        )

        start = time.perf_counter()
        reading = case.read(self.arguments.series_uid, self._preferred_series() if case.is_dicom else ())
        for note in reading.notes:
            say(f"{case.name}: {note}")
        image = next(iter(reading.channels.values()))
        for name, point in self.anchor.items():
            if not image.grid.contains([point]).all():
                at = ",".join(f"{x:g}" for x in point)
                raise DataError(
                    f"{case.name}: --anchor {name}={at} lies outside the image; expected LPS millimetres (3D Slicer "
                    "shows RAS: turn the signs of the first two)"
                )
        found, labels = self._apply(reading.channels, jobs, max_memory_mb)
        for note in found.notes:
            say(f"{case.name}: {note}")
        target, labels_stem = self.arguments.out / case.points_stem, self.arguments.out / case.labels_stem
        for suffix in (".mrk.json", ".lml"):
            write_landmarks(found.landmarks, f"{target}{suffix}", image.grid)
        if labels is not None:
            like = None if case.is_dicom else next(iter(case.files.values()))
            write_label_image(labels, self.localizer.label_names, f"{labels_stem}.nii.gz", like)
            write_label_tables(self.localizer.label_names, labels_stem)
            if case.in_bids:
                write_bids_labels(self.localizer.label_names, f"{labels_stem}.tsv")
        if self.arguments.preview:
            from regforest.report import Masks, write_preview

            masks = None if labels is None else Masks(labels, self.localizer.label_names)
            write_preview(image, found, target, case.stem, masks)
        result = {**found.to_json(case.name), "made_with": self.made_with}
        if reading.series_uid is not None:
            result["series_uid"] = reading.series_uid
        write_json(f"{target}.json", result)
        size = " x ".join(map(str, image.grid.size_xyz))
        detail(f"{case.name}: {size} voxels, {time.perf_counter() - start:.1f} s, written: {target}.json")
        return result

    def _preferred_series(self) -> tuple[str, ...]:
        """Say what to look for among the series of a DICOM study."""
        if self.arguments.command == "label":
            return ("ct",)
        learned = self.localizer.channels_
        return ("mr", "sagittal", "t1" if [name.lower() for name in learned] == ["t1"] else "t2")

    def _apply(
        self, channels: Mapping[str, Volume], jobs: int, max_memory_mb: float | None
    ) -> tuple[Localization, Volume | None]:
        given = channels["image"] if list(channels) == ["image"] else channels
        options = {"anchor": self.anchor or None, "n_jobs": jobs, "max_memory_mb": max_memory_mb}
        if self.arguments.segment:
            found, labels = self.localizer.apply(given, **options)
            return found, labels
        return self.localizer.localize(given, **options), None


def _model_file(arguments: argparse.Namespace) -> Path:
    from regforest.models import built_in_models, model_file

    default, training = _DEFAULT_MODELS[arguments.command], _TRAINING[arguments.command]
    if arguments.model is None and default not in built_in_models():
        raise UsageError(
            f"there is no built-in model {default!r} yet: name yours by --model, or train one: {training}"
        )
    try:
        return model_file(arguments.model or default)
    except UsageError as error:
        raise UsageError(f"{error}; train one: {training}") from error


def _made_with(model: Path, anchor: Mapping[str, Any], series_uid: str | None) -> dict[str, Any]:
    """Return what decides a result besides the image; JSON-ready."""
    import hashlib

    digest = hashlib.sha256(model.read_bytes()).hexdigest()[:16]
    chosen = {"anchor": {name: list(at) for name, at in anchor.items()}, "series_uid": series_uid}
    return {"regforest": __version__, "model": digest, **chosen}


def _load(command: str, model: Path) -> Any:
    detail(f"model: {model}")
    if command == "label":
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


def _line(stem: str, result: Mapping[str, Any]) -> str:
    levels = " ".join(level["level"] for level in result["levels"]) or "none"
    reason = f" ({result['reason']})" if result["reason"] else ""
    return f"{stem}: {result['status']}{reason}: {levels}"
