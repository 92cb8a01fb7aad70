"""Parsing shared by all subcommands: examples in the help, the nearest right name in errors."""

from __future__ import annotations

import argparse
import difflib
import os
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

__all__ = ["Parser", "add_command", "available_cpus", "nearest", "positive", "seed_number", "unknown_options"]

_MISSING = "arguments are required"
_CHOICE = re.compile(r"invalid choice: '?([^' ]*)'? \(choose from (.*)\)")


class Parser(argparse.ArgumentParser):
    """An argument parser that keeps the epilog's lines and suggests the nearest right name."""

    def __init__(self, **options: Any) -> None:
        # abbreviated options would change their meaning when an option is added
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **options)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse, keeping the words for the sake of `error`."""
        self._words = list(args or ())
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Print usage, message and suggestion; exit with 2."""
        wrong = _CHOICE.search(message)
        if wrong:
            message += nearest(wrong.group(1), re.findall(r"[\w.-]+", wrong.group(2)))
        elif _MISSING in message:  # often there, but misspelt
            message += _hints(self, [word for word in self._words if word.partition("=")[0] not in _options(self)])
        super().error(message)


def add_command(
    commands: Any, name: str, run: Callable[[argparse.Namespace], int], description: str, example: str
) -> argparse.ArgumentParser:
    """Add a subcommand whose help ends with an example; `run` gets the parsed arguments."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=description,
        description=description[0].upper() + description[1:] + ".",
        epilog=f"example:\n{example}",
    )
    parser.set_defaults(run=run, parser=parser)
    volume = parser.add_mutually_exclusive_group()
    volume.add_argument("-q", "--quiet", action="store_true", help="no progress and no log but errors")
    volume.add_argument("-v", "--verbose", action="store_true", help="log every step, with its time")
    return parser


def unknown_options(parser: argparse.ArgumentParser, unknown: Sequence[str]) -> str:
    """Message for arguments that no option takes, with the nearest option there is."""
    return f"unrecognized arguments: {' '.join(unknown)}{_hints(parser, unknown)}"


def _hints(parser: argparse.ArgumentParser, unknown: Sequence[str]) -> str:
    known, options = _options(parser), [word.partition("=")[0] for word in unknown if word.startswith("-")]
    return "".join(
        f"; {option} goes behind the command" if option in known else nearest(option, known) for option in options
    )


def _options(parser: argparse.ArgumentParser) -> list[str]:
    return [option for action in parser._actions for option in action.option_strings]


def nearest(word: str, known: Iterable[str]) -> str:
    """Suggest the known word most like a wrong one, ``""`` if none is."""
    found = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean {found[0]!r}?" if found else ""


def positive(text: str) -> int:
    """Parse a whole number of at least 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, got {number}")
    return number


def seed_number(text: str) -> int:
    """Parse a seed: a whole number of at least 0."""
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"expected at least 0, got {number}")
    return number


def available_cpus() -> int:
    """Count the processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def add_jobs(parser: argparse.ArgumentParser) -> None:
    """Add ``--jobs``."""
    parser.add_argument("--jobs", type=positive, default=available_cpus(), metavar="N", help="threads (default: all)")


def add_max_memory(parser: argparse.ArgumentParser, default: str) -> None:
    """Add ``--max-memory``; `default` says what holds without it."""
    parser.add_argument(
        "--max-memory", type=_memory, metavar="SIZE",
        help="bound for the memory of this process, such as 2GB; what does not fit works in slabs, with fewer "
        f"threads, or is refused (default: {default})",
    )  # fmt: skip


def _memory(text: str) -> float:
    from regforest._memory import memory_mb

    try:
        return memory_mb(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def add_out(parser: argparse.ArgumentParser, metavar: str, text: str) -> None:
    """Add ``-o/--out``."""
    parser.add_argument("-o", "--out", type=Path, required=True, metavar=metavar, help=text)
