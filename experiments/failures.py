"""Which cases failed, at what stage and why."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from tqdm import tqdm

from experiments.work import Trouble

__all__ = ["Failures"]


class Failures:
    """Rows of failures.csv; one cause is noted once, in however many folds it shows.

    Attributes
    ----------
    rows : list of dict
        With the keys case, stage and error.
    """

    def __init__(self) -> None:
        self.rows: list[dict[str, str]] = []

    def add(self, trouble: Trouble) -> None:
        """Note that a case failed, and say so on stderr; errors that nobody foresaw come with their traceback."""
        row = {"case": trouble.case, "stage": trouble.stage, "error": trouble.error}
        if row not in self.rows:
            self.rows.append(row)
            if trouble.trace:
                tqdm.write(trouble.trace, file=sys.stderr)
            tqdm.write(f"{trouble.case}: failed at {trouble.stage}: {trouble.error}", file=sys.stderr)

    def postpone(self, troubles: Iterable[Trouble]) -> None:
        """Say that a case failed and will be tried once more, with less memory."""
        for trouble in troubles:
            text = f"{trouble.case}: failed at {trouble.stage}, to be tried again with less memory: {trouble.error}"
            tqdm.write(text, file=sys.stderr)
