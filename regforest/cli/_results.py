"""The folder that the results of many images go to: what is complete, and what it was made from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from regforest.cli._inputs import Input
from regforest.errors import UsageError

__all__ = ["ResultFolder"]


class ResultFolder:
    """Results of images, three files or more for each; ``<stem>.json`` comes last and marks them as complete.

    A hidden journal tells which image each result was made from.

    Parameters
    ----------
    path : Path
        The folder, which exists.
    segment : bool
        Whether a segmentation belongs to a complete result.
    made_with : mapping
        What decides the results beside the images, JSON-ready; a result holds it too.
    """

    def __init__(self, path: Path, segment: bool, made_with: Mapping[str, Any]) -> None:
        from regforest.io import Journal

        self.path, self.segment, self.made_with = path, segment, dict(made_with)
        self.journal = Journal(path / ".journal.jsonl")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other runs out, and clear up after a killed one."""
        from regforest.io import clear_unfinished, folder_lock

        with folder_lock(self.path):
            clear_unfinished(self.path)
            yield

    def finished(self, case: Input) -> dict[str, Any] | None:
        """Read the stored result of a case; None if it is not complete."""
        from regforest.io import parsed_object

        try:
            result = parsed_object((self.path / f"{case.points_stem}.json").read_bytes())
        except OSError:
            return None
        complete = result is not None and "status" in result and all(f.is_file() for f in self._files(case))
        return result if complete else None

    def refuse_existing(self, inputs: Sequence[Input]) -> None:
        """Raise `UsageError` if a file of these cases is there already."""
        present = [file for case in inputs for file in self._files(case) if file.exists()]
        if present:
            raise UsageError(f"{present[0]} exists already: add --resume to go on there, or name a new folder")

    def stored(self, inputs: Sequence[Input]) -> dict[str, dict[str, Any]]:
        """Read the complete results, by stem.

        Raises
        ------
        UsageError
            If one was made with another model, anchor or version, or the image has changed; says what differs.
        """
        from regforest.io import differences

        read = {case.stem: self.finished(case) for case in inputs}
        results = {stem: result for stem, result in read.items() if result is not None}
        images = {
            str(entry.get("case")): entry.get("image")
            for entry in self.journal.entries()
            if entry["event"] == "finished"
        }
        for case in inputs:
            if case.stem not in results:
                continue
            changed = differences(results[case.stem].get("made_with"), self.made_with)
            if case.stem in images:
                changed += differences(images[case.stem], _fingerprint(case), "image")
            if changed:
                raise UsageError(
                    f"{self.path / case.points_stem}.json was made from something else than asked for: name a new "
                    "folder, nothing is mixed or overwritten. Differences:\n  " + "\n  ".join(changed)
                )
        return results

    def noted(self, work: Callable[[Input], dict[str, Any]]) -> Callable[[Input], dict[str, Any]]:
        """Return the same work, with its begin and end noted."""

        def noting(case: Input) -> dict[str, Any]:
            self.journal.add("begun", case=case.stem)
            try:
                image = _fingerprint(case)
                result = work(case)
            except Exception:
                self.journal.add("failed", case=case.stem)
                raise
            self.journal.add("finished", case=case.stem, image=image)
            return result

        return noting

    def _files(self, case: Input) -> list[Path]:
        points = [self.path / f"{case.points_stem}{suffix}" for suffix in (".mrk.json", ".lml", ".json")]
        return points + ([self.path / f"{case.labels_stem}.nii.gz"] if self.segment else [])


def _fingerprint(case: Input) -> str:
    from regforest.io import fingerprint

    return fingerprint([case.files[channel] for channel in sorted(case.files)])
