"""The folder that the results of many images go to: what is complete, and what it was made from."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from regforest.cli._inputs import Input
from regforest.errors import UsageError

__all__ = ["ResultFolder"]


class ResultFolder:
    """Results of images, three files or more for each; ``<stem>.json`` comes last and marks them as complete.

    A hidden journal tells which model and which image each result was made from.

    Parameters
    ----------
    path : Path
        The folder, which exists.
    suffixes : sequence of str
        Files of a complete result.
    identity : mapping
        What decides the results beside the images, JSON-ready.
    """

    def __init__(self, path: Path, suffixes: Sequence[str], identity: Mapping[str, Any]) -> None:
        from regforest.io import Journal

        self.path, self.suffixes, self.identity = path, suffixes, dict(identity)
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
        try:
            result = json.loads((self.path / f"{case.stem}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        complete = isinstance(result, dict) and "status" in result and all(f.is_file() for f in self._files(case))
        return result if complete else None

    def refuse_existing(self, inputs: Sequence[Input]) -> None:
        """Raise `UsageError` if a file of these cases is there already."""
        present = [file for case in inputs for file in self._files(case) if file.exists()]
        if present:
            raise UsageError(f"{present[0]} exists already: add --resume to go on there, or name a new folder")

    def refuse_changed(self, inputs: Sequence[Input]) -> set[str]:
        """Compare what finished results were made from with what there is now.

        Returns
        -------
        set of str
            Stems of the cases that a killed run was working on.

        Raises
        ------
        UsageError
            That says what differs.
        """
        from regforest.io import differences

        identity: dict[str, Any] = {}
        made_from: dict[str, dict[str, Any]] = {}
        for entry in self.journal.entries():
            if entry["event"] == "run":
                identity = entry.get("identity", {})
            elif entry["event"] == "finished":
                made_from[entry["case"]] = {**identity, "image": entry.get("image")}
        for case in inputs:
            if case.stem in made_from:
                changed = differences(made_from[case.stem], {**self.identity, "image": _fingerprint(case)})
                if changed:
                    raise UsageError(
                        f"{self.path} holds a result of {case.name} that was made from something else; name a new "
                        "folder. Differences:\n  " + "\n  ".join(changed)
                    )
        return self.journal.unfinished()

    def begin(self) -> None:
        """Note that a run begins."""
        self.journal.add("run", identity=self.identity)

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
        return [self.path / f"{case.stem}{suffix}" for suffix in self.suffixes]


def _fingerprint(case: Input) -> str:
    from regforest.io import fingerprint

    return fingerprint([case.files[channel] for channel in sorted(case.files)])
