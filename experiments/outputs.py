"""The folder of a run: what lies in it, and how it gets there without ever being half written."""

from __future__ import annotations

import csv
import io
import json
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.manifest import differences
from experiments.protocol import Outcome
from regforest.errors import UsageError
from regforest.io import read_grid, write_label_image, write_label_tables, write_landmarks
from regforest.spatial import AnnotatedScan

__all__ = ["RunFolder", "write_atomically"]


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

    def begin(self, manifest: Mapping[str, Any]) -> None:
        """Make the folder and mark it as an unfinished run; raises `UsageError` where that is impossible."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            self.write_json("manifest.json", {**manifest, "finished": False})
        except OSError as error:
            raise UsageError(f"{self.root} cannot be written ({error.strerror}); choose another --out") from error

    def case_file(self, method: str, case: str) -> Path:
        """Where the stored result of a case lies."""
        return self._of(method, "cases") / f"{case}.json"

    def stored_case(self, method: str, case: str) -> dict[str, Any] | None:
        """Read the stored result of a case; None where it is not finished."""
        try:
            content: dict[str, Any] = json.loads(self.case_file(method, case).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return content

    def write_predictions(self, method: str, case_image: Path, scan: AnnotatedScan, outcome: Outcome) -> None:
        """Write landmarks as LML and for 3D Slicer, and the segmentation on the grid of the input file."""
        folder = self._of(method, "predictions")
        folder.mkdir(parents=True, exist_ok=True)
        landmarks = outcome.localization.landmarks
        write_landmarks(landmarks, folder / f"{scan.name}.lml", scan.image.grid)
        write_landmarks(landmarks, folder / f"{scan.name}.mrk.json", scan.image.grid)
        if outcome.segmentation is not None:
            # a data set may have corrected a header: then the file's matrix is not the one to copy
            like = case_image if read_grid(case_image).is_close(outcome.segmentation.grid) else None
            path = folder / f"{scan.name}.nii.gz"
            write_label_image(outcome.segmentation, outcome.label_names or {}, path, like=like)
            write_label_tables(outcome.label_names or {}, folder / scan.name)

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a JSON file below the folder, whole or not at all."""
        write_atomically(self.root / name, (json.dumps(content, indent=1, allow_nan=False) + "\n").encode())

    def write_csv(self, name: str, rows: Iterable[Mapping[str, Any]], columns: Sequence[str] = ()) -> None:
        """Write a table; the columns are those given and all that occur in the rows."""
        table = list(rows)
        names = list(dict.fromkeys([*columns, *(key for row in table for key in row)]))
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: _rounded(value) for key, value in row.items()} for row in table)
        write_atomically(self.root / name, text.getvalue().encode())

    def read_json(self, name: str) -> dict[str, Any]:
        """Read a JSON file of the folder."""
        content: dict[str, Any] = json.loads((self.root / name).read_text(encoding="utf-8"))
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
        except (OSError, ValueError) as error:
            raise UsageError(f"{self.root} is not empty and holds no run; choose another --out") from error


def _rounded(value: Any) -> Any:
    return round(value, 6) if isinstance(value, float) else value


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that after a crash at any moment it is there as a whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=".writing-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
