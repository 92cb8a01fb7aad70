"""What each part of a method contributes: runs of an experiment that differ in one setting, and their table.

Every row is a run of its own, kept below ``--out`` with everything that decided its numbers; rows that are there
already are not computed again.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.options import seed_number
from regforest.io import write_text

__all__ = ["Ablation", "settings_options"]

Variants = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Ablation:
    """The rows of a table and the experiment that fills them.

    Attributes
    ----------
    name, description : str
        Module name, and the text of ``--help``.
    run : callable
        ``main(argv) -> exit status`` of the experiment.
    variants : mapping of str to tuple of str
        Row of the table -> options of the experiment.
    columns : tuple of str
        Heads of the cells that `cells` returns.
    cells : callable
        ``(summary, stored cases) -> cells`` of a finished run.
    """

    name: str
    description: str
    run: Callable[[list[str]], int]
    variants: Variants
    columns: tuple[str, ...]
    cells: Callable[[Mapping[str, Any], Sequence[Mapping[str, Any]]], list[str]]

    def parser(self) -> argparse.ArgumentParser:
        """Return the command line that all ablations share."""
        parser = argparse.ArgumentParser(
            prog=f"python -m experiments.{self.name}",
            description=self.description,
            epilog="rows:\n  " + "\n  ".join(self.variants),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        parser.add_argument("--data", type=Path, metavar="DIR", help="data set (default: the embedded phantoms)")
        parser.add_argument("--limit", type=int, metavar="N", help="N cases in all")
        parser.add_argument("--only", metavar="A;B", help="these rows only (default: all, see below)")
        parser.add_argument("--jobs", type=int, metavar="N", help="threads (default: all cores)")
        parser.add_argument("--seed", type=seed_number, default=0, metavar="N", help="default: %(default)s")
        out = Path("results") / self.name
        parser.add_argument("--out", type=Path, default=out, metavar="DIR", help="default: %(default)s")
        return parser

    def main(self, options: argparse.Namespace, parser: argparse.ArgumentParser, more: Variants) -> int:
        """Run the rows asked for, with `more` beside the variants, and print one table.

        Returns the worst exit status of the experiment (0 done, 1 some cases failed, 2 and 3 refused).
        """
        variants = {**self.variants, **more}
        chosen = [name.strip() for name in options.only.split(";")] if options.only else list(variants)
        if unknown := [name for name in chosen if name not in variants]:
            parser.error(f"--only: no row {', '.join(unknown)}; there are {'; '.join(variants)}")
        rows, worst = [], 0
        for name in chosen:
            folder = options.out / "".join(c if c.isalnum() else "_" for c in name)
            with contextlib.redirect_stdout(sys.stderr):
                status = self.run([*_common(options), "--resume", "--out", str(folder), *variants[name]])
            worst = max(worst, status)
            if status in (0, 1):
                rows.append([name, *self._cells_of(folder)])
        self._print(rows, options.out)
        return worst

    def _cells_of(self, folder: Path) -> list[str]:
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        cases = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("cases/*.json"))]
        return self.cells(summary, cases)

    def _print(self, rows: Sequence[Sequence[str]], out: Path) -> None:
        heads = ("", *self.columns)
        lines = ["| " + " | ".join(cells) + " |" for cells in (heads, ["---"] * len(heads), *rows)]
        text = "\n".join(lines) + "\n"
        if rows:
            write_text(out / "table.md", text)
        print(text, end="")


def settings_options(**changes: Any) -> tuple[str, ...]:
    """Options of an experiment that change settings; a double underscore stands for the dot of a nested one.

    Examples
    --------
    >>> settings_options(trees=8, bodies__trees=4)
    ('--set', 'trees=8', '--set', 'bodies.trees=4')
    """
    pairs = ((key.replace("__", "."), value) for key, value in changes.items())
    return tuple(part for key, value in pairs for part in ("--set", f"{key}={value}"))


def _common(options: argparse.Namespace) -> list[str]:
    """Options that all rows share."""
    given = {"--data": options.data, "--limit": options.limit, "--jobs": options.jobs, "--seed": options.seed}
    return [
        *(str(part) for key, value in given.items() if value is not None for part in (key, value)),
        "--no-pictures",
    ]
