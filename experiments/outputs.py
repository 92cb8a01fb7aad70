"""The folder of a run: what lies in it, and how it gets there without ever being half written."""

from __future__ import annotations

import csv
import io
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from experiments.protocol import Outcome
from regforest.errors import FileError, UsageError
from regforest.io import (
    Journal,
    clear_unfinished,
    differences,
    folder_lock,
    parsed_object,
    read_grid,
    read_json,
    write_bytes,
    write_label_image,
    write_label_tables,
    write_landmarks,
)
from regforest.spatial import AnnotatedScan

__all__ = ["CaseFiles", "RunFolder", "prediction_files"]


@dataclass(frozen=True)
class CaseFiles:
    """What is kept of a finished case.

    Attributes
    ----------
    stored : mapping
        The result, JSON-ready.
    predictions : mapping of str to bytes
        Suffix -> content of the files for other programs.
    pictures : mapping of str to bytes
        Suffix -> content of what the page shows.
    """

    stored: Mapping[str, Any]
    predictions: Mapping[str, bytes]
    pictures: Mapping[str, bytes] = field(default_factory=dict)


def prediction_files(case_image: Path, scan: AnnotatedScan, outcome: Outcome) -> dict[str, bytes]:
    """Return landmarks as LML and for 3D Slicer, and the segmentation on the grid of the input file, by suffix."""
    landmarks, segmentation = outcome.localization.landmarks, outcome.segmentation
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_landmarks(landmarks, folder / "case.lml", scan.image.grid)
        write_landmarks(landmarks, folder / "case.mrk.json", scan.image.grid)
        if segmentation is not None:
            # a data set may have corrected a header: then the file's matrix is not the one to copy
            like = case_image if read_grid(case_image).is_close(segmentation.grid) else None
            write_label_image(segmentation, outcome.label_names or {}, folder / "case.nii.gz", like=like)
            write_label_tables(outcome.label_names or {}, folder / "case")
        return {file.name.removeprefix("case"): file.read_bytes() for file in sorted(folder.iterdir())}


class RunFolder:
    """An output folder.

    Parameters
    ----------
    root : Path
        The folder of ``--out``.
    main : str
        The main method: its cases and predictions lie directly in ``cases/`` and ``predictions/``, those of other
        methods in sub-folders of their names.
    """

    def __init__(self, root: Path, main: str) -> None:
        self.root, self.main = root, main
        self.journal = Journal(root / "journal.jsonl")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other runs out of the folder; raises `UsageError` where that is impossible."""
        try:
            with folder_lock(self.root):
                yield
        except FileError as error:
            if error.path != self.root:
                raise
            raise UsageError(f"{self.root} cannot be written ({error.found}); choose another --out") from error

    def state(self, identity: Mapping[str, Any], resume: bool) -> str:
        """Tell what may be done here, changing nothing.

        Parameters
        ----------
        identity : mapping
            Everything that decides the numbers, JSON-ready.
        resume : bool
            Whether the user allows an unfinished run to be completed.

        Returns
        -------
        {"new", "unfinished", "finished"}
            ``"finished"``: nothing to do, the stored result is the answer. A finished run in which cases failed
            is ``"unfinished"`` under `resume`: those are tried again.

        Raises
        ------
        UsageError
            If the folder holds anything else, a run with another identity, or an unfinished one without `resume`.
        """
        # unlike the methods of Path, these say no where a name is too long or a place may not be looked at
        if os.path.exists(self.root) and not os.path.isdir(self.root):
            raise UsageError(f"{self.root} is a file; choose a folder with --out")
        if not os.path.exists(self.root) or not any(not p.name.startswith(".") for p in self.root.iterdir()):
            return "new"
        stored = self._stored_manifest()
        there = {key: stored.get(key) for key in identity}
        changed = differences(there, json.loads(json.dumps(identity)))
        if changed:
            raise UsageError(
                f"{self.root} holds a run with other settings or data; choose another --out. Differences:\n  "
                + "\n  ".join(changed[:12])
            )
        if stored.get("finished") and not (resume and stored.get("failed")):
            return "finished"
        if not resume:
            raise UsageError(f"{self.root} holds an unfinished run; go on with --resume or choose another --out")
        return "unfinished"

    def begin(self, manifest: Mapping[str, Any]) -> set[str]:
        """Mark the folder as an unfinished run, and clear up after a killed one.

        Returns
        -------
        set of str
            Cases that were being worked on when the run was killed.
        """
        suspects = self.journal.unfinished()
        for place in (self.root, *(path for path in self.root.rglob("*") if path.is_dir())):
            clear_unfinished(place)
        self.write_json("manifest.json", {**manifest, "finished": False})
        return suspects

    def note_begun(self, method: str, case: str) -> None:
        """Note that a case is being worked on."""
        self.journal.add("begun", case=f"{method}/{case}")

    def note_failed(self, method: str, case: str) -> None:
        """Note that a case came to nothing."""
        self.journal.add("failed", case=f"{method}/{case}")

    def keep(self, method: str, case: str, files: CaseFiles) -> None:
        """Write what is kept of a case; its result comes last and marks it as finished."""
        for suffix, content in files.predictions.items():
            write_bytes(self._of(method, "predictions") / f"{case}{suffix}", content)
        for suffix, content in files.pictures.items():
            write_bytes(self.root / "pictures" / f"{case}{suffix}", content)
        self.write_json(str(self.case_file(method, case).relative_to(self.root)), files.stored)
        self.journal.add("finished", case=f"{method}/{case}")

    def case_file(self, method: str, case: str) -> Path:
        """Where the stored result of a case lies."""
        return self._of(method, "cases") / f"{case}.json"

    def stored_case(self, method: str, case: str) -> dict[str, Any] | None:
        """Read the stored result of a case; None where it is not finished."""
        try:
            return parsed_object(self.case_file(method, case).read_bytes())
        except OSError:
            return None

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a JSON file below the folder, whole or not at all."""
        write_bytes(self.root / name, (json.dumps(content, indent=1, allow_nan=False) + "\n").encode())

    def write_csv(self, name: str, rows: Iterable[Mapping[str, Any]], columns: Sequence[str] = ()) -> None:
        """Write a table; the columns are those given and all that occur in the rows."""
        table = list(rows)
        names = list(dict.fromkeys([*columns, *(key for row in table for key in row)]))
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: _rounded(value) for key, value in row.items()} for row in table)
        write_bytes(self.root / name, text.getvalue().encode())

    def read_json(self, name: str) -> dict[str, Any]:
        """Read a JSON file of the folder; raises `FileError` if it is not there or damaged."""
        content = read_json(self.root / name)
        if not isinstance(content, dict):
            raise FileError(self.root / name, "a JSON object", repr(content)[:40], "choose another --out")
        return content

    def picture_file(self, case: str) -> Path:
        """Where the picture of a case lies."""
        return self.root / "pictures" / f"{case}.svg"

    def volume_file(self, case: str) -> Path:
        """Where what the 3-D view shows of a case lies."""
        return self.root / "pictures" / f"{case}.nii.gz"

    def _of(self, method: str, kind: str) -> Path:
        return self.root / kind if method == self.main else self.root / kind / method

    def _stored_manifest(self) -> dict[str, Any]:
        try:
            return self.read_json("manifest.json")
        except FileError as error:
            raise UsageError(f"{self.root} is not empty and holds no run; choose another --out") from error


def _rounded(value: Any) -> Any:
    return round(value, 6) if isinstance(value, float) else value
