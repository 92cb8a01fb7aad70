"""``regforest label`` and ``regforest discs``: apply a model to images."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from regforest._version import __version__
from regforest.cli._batch import Failures, detail, each, folder_to_write, result, say, with_progress
from regforest.cli._forecast import say_forecast, will_label
from regforest.cli._inputs import Input, bids_folders, cases_of, images_of
from regforest.cli._parser import add_command, add_jobs, add_max_memory, add_out
from regforest.cli._results import ResultFolder
from regforest.cli._worker import Worker
from regforest.errors import UsageError

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
    add_max_memory(parser, "the memory of this machine")


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
        worker = Worker(arguments, _load(arguments.command, model), anchor, folder.made_with)
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
    todo: Sequence[Input], worker: Worker, folder: ResultFolder, failures: Failures
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
