"""Command-line options that all experiments share, and settings given as ``--set key=value``."""

from __future__ import annotations

import argparse
import ast
import dataclasses
import difflib
import os
import sys
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from regforest._memory import memory_mb
from regforest.cli._parser import unknown_options
from regforest.errors import UsageError
from regforest.evaluation import DEFINITIONS

__all__ = [
    "SHIPPED_SPLITS",
    "Options",
    "build_parser",
    "parse",
    "refuse_unknown",
    "seed_number",
    "settings_keys",
    "with_overrides",
]

S = TypeVar("S")
_EXAMPLE = """\
  python -m experiments.{name}
  python -m experiments.{name} --data DIR --layout {layout} --out results/mine
  python -m experiments.{name} --data DIR --layout {layout} --out results/mine --resume

exit status: 0 done, 1 some cases failed, 2 wrong usage, 3 data that cannot be used
"""
SHIPPED_SPLITS = Path(__file__).resolve().parents[1] / "data_splits"


@dataclass(frozen=True)
class Options:
    """What the user asked for; see `build_parser` for the meaning of each."""

    data: Path | None
    layout: str
    protocol: str
    splits: Path
    patients: Path | None
    channels: tuple[str, ...]
    test_channels: tuple[str, ...]
    published: Path | None
    methods: tuple[str, ...]
    definition: str
    pictures: bool
    out: Path
    jobs: int
    seed: int
    limit: int | None
    resume: bool
    overrides: Mapping[str, str]
    quick: bool
    scheduler: str | None = None
    max_memory_mb: float | None = None
    command: tuple[str, ...] = ()


def build_parser(
    name: str, description: str, layouts: Sequence[str], methods: Sequence[str], protocols: Sequence[str] = ()
) -> argparse.ArgumentParser:
    """Make the parser of one experiment.

    Parameters
    ----------
    name : str
        Module below ``experiments``.
    description : str
        Shown by ``--help``.
    layouts, methods, protocols : sequence of str
        Choices; the first method and protocol are the defaults. Without a protocol there is one only.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m experiments.{name}",
        description=description,
        epilog=f"example:\n{_EXAMPLE.format(name=name, layout=layouts[0])}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    data = parser.add_argument_group("data")
    data.add_argument("--data", type=Path, metavar="DIR", help="data set (default: the embedded phantoms)")
    data.add_argument("--layout", choices=("auto", *layouts, "phantom"), default="auto", help="default: %(default)s")
    if protocols:
        data.add_argument("--protocol", choices=protocols, help=f"of the experiment (default: {protocols[0]})")
    parser.set_defaults(protocol=next(iter(protocols), ""))
    data.add_argument(
        "--splits", type=Path, default=SHIPPED_SPLITS, metavar="DIR",
        help="folder with fold1*.txt and fold2*.txt, or csi2014_test60.txt (default: data_splits)",
    )  # fmt: skip
    data.add_argument("--patients", type=Path, metavar="FILE", help="table case,patient to use instead")
    data.add_argument("--channels", type=_names, default=(), metavar="A,B", help="use these channels only")
    data.add_argument(
        "--test-channels", type=_names, default=(), metavar="A,B",
        help="test on these of the channels only, as on scans that lack the others (MR; training has all)",
    )  # fmt: skip
    data.add_argument("--limit", type=_positive, metavar="N", help="N cases in all, spread over the folds")
    method = parser.add_argument_group("method")
    method.add_argument(
        "--method", type=_names, default=(methods[0],), metavar="A[,B]",
        help=f"one or several of {', '.join(methods)}; the first is the main one (default: {methods[0]})",
    )  # fmt: skip
    method.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides", help="change one setting"
    )
    method.add_argument("--seed", type=seed_number, default=0, metavar="N", help="default: %(default)s")
    method.add_argument("--quick", action="store_true", help="smallest useful settings, few cases: a smoke run")
    judge = parser.add_argument_group("evaluation and report")
    judge.add_argument("--definition", choices=DEFINITIONS, default=DEFINITIONS[0], help="of identification")
    judge.add_argument("--published", type=Path, metavar="DIR", help="LML files of another method, judged too")
    judge.add_argument("--no-pictures", action="store_false", dest="pictures", help="no image content in the report")
    run = parser.add_argument_group("run")
    default_out = Path("results") / name
    run.add_argument("--out", type=Path, default=default_out, metavar="DIR", help="default: %(default)s")
    run.add_argument("--jobs", type=_positive, default=_cores(), metavar="N", help="threads (default: %(default)s)")
    run.add_argument("--resume", action="store_true", help="go on with an unfinished run in --out")
    run.add_argument(
        "--max-memory", type=_memory, metavar="SIZE", dest="max_memory_mb",
        help="bound for the memory of a process, learning included, such as 2GB; what does not fit works in slabs, "
        "with fewer threads, or is refused",
    )  # fmt: skip
    run.add_argument(
        "--scheduler", metavar="ADDRESS", help="do the work on this Dask cluster; local:N starts N processes here"
    )
    return parser


def parse(parser: argparse.ArgumentParser, methods: Sequence[str], argv: Sequence[str] | None) -> Options:
    """Parse and check the options; wrong usage ends the program with status 2, as argparse does."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    namespace, unknown = parser.parse_known_args(arguments)
    if unknown:
        parser.error(unknown_options(parser, unknown))
    given = vars(namespace)
    if not given["method"]:
        parser.error(f"--method expects one or several of {', '.join(methods)}")
    for name in given["method"]:
        if name not in methods:
            parser.error(f"unknown method {name!r}: expected {', '.join(methods)}{_nearest(name, methods)}")
    pairs = {}
    for text in given["overrides"]:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            parser.error(f"--set expects KEY=VALUE, got {text!r}")
        pairs[key.strip()] = value.strip()
    given["overrides"] = pairs
    given["methods"] = tuple(dict.fromkeys(given.pop("method")))
    return Options(**given, command=(parser.prog, *arguments))


def with_overrides(settings: S, overrides: Mapping[str, str]) -> tuple[S, set[str]]:
    """Change fields of a settings dataclass.

    Parameters
    ----------
    settings : dataclass
        Fields may be settings themselves: ``outer.inner`` names theirs.
    overrides : mapping of str to str
        Field -> value as Python would write it (``3``, ``2.5``, ``True``, ``(1, 2)``, ``text``).

    Returns
    -------
    settings : dataclass
        A changed copy.
    unknown : set of str
        Keys that name no field.

    Raises
    ------
    UsageError
        If a value has the wrong type, or the settings refuse it.

    Examples
    --------
    >>> @dataclass(frozen=True)
    ... class Forest:
    ...     trees: int = 20
    >>> with_overrides(Forest(), {"trees": "5", "leaves": "1"})
    (Forest(trees=5), {'leaves'})
    """
    known = settings_keys(settings)
    for key, text in overrides.items():
        if key in known:
            settings = _replace(settings, key, key.split("."), text)
    return settings, set(overrides) - set(known)


def settings_keys(settings: Any, prefix: str = "") -> list[str]:
    """Names that ``--set`` knows for a settings dataclass, nested ones with a dot."""
    keys = []
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        inner = dataclasses.is_dataclass(value)
        keys += settings_keys(value, f"{prefix}{field.name}.") if inner else [prefix + field.name]
    return keys


def refuse_unknown(unknown: set[str], known: Sequence[str]) -> None:
    """Raise `UsageError` for settings that no method has, with the nearest name that exists."""
    for key in sorted(unknown):
        raise UsageError(f"--set: unknown setting {key!r}{_nearest(key, known)}; known: {', '.join(known)}")


def _replace(settings: Any, key: str, path: list[str], text: str) -> Any:
    name, *rest = path
    if rest:
        return dataclasses.replace(settings, **{name: _replace(getattr(settings, name), key, rest, text)})
    wanted = typing.get_type_hints(type(settings))[name]
    value = _value(text)
    if isinstance(value, int) and not isinstance(value, bool) and _accepts(wanted, 0.5):
        value = float(value)
    if not _accepts(wanted, value) and _accepts(wanted, text):
        value = text
    if not _accepts(wanted, value):
        raise UsageError(f"--set {key}: expected {getattr(wanted, '__name__', wanted)}, got {text!r}")
    try:
        return dataclasses.replace(settings, **{name: value})
    except (ValueError, TypeError) as error:
        raise UsageError(f"--set {key}={text}: {error}") from error


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _accepts(wanted: Any, value: Any) -> bool:
    """Whether a value fits a type hint of a settings field."""
    origin = typing.get_origin(wanted)
    if origin in (typing.Union, types.UnionType):
        return any(_accepts(part, value) for part in typing.get_args(wanted))
    if wanted is Any or origin is typing.Literal:
        return wanted is Any or value in typing.get_args(wanted)
    if origin is tuple:
        parts = typing.get_args(wanted)
        if not isinstance(value, tuple):
            return False
        if len(parts) == 2 and parts[1] is Ellipsis:
            return all(_accepts(parts[0], item) for item in value)
        return len(parts) == len(value) and all(_accepts(p, v) for p, v in zip(parts, value, strict=True))
    if wanted is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if wanted is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, origin or wanted)


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _positive(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a number from 1 up, got {text!r}")
    return number


def _memory(text: str) -> float:
    try:
        return memory_mb(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def seed_number(text: str) -> int:
    """Parse a seed of a random generator, a whole number from 0 up."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a number from 0 up, got {text!r}")
    return int(text)


def _nearest(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    return f"; did you mean {close[0]!r}?" if close else ""


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
