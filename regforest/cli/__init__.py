"""The command ``regforest``: one module for each group of subcommands, imported only when asked for."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from regforest._version import __version__
from regforest.cli import _console, apply, container, convert, evaluate, files, info, phantom, train
from regforest.cli._completion import PrintCompletion
from regforest.cli._parser import Parser, unknown_options
from regforest.errors import RegForestError, UsageError

__all__ = ["main"]

_EXAMPLE = """\
example:
  regforest phantom ct -n 40 --seed 0 -o phantoms
  regforest train vertebrae --data phantoms -o ct.rfm
  regforest label scan.nii.gz -o labelled --model ct.rfm

exit status: 0 done, 1 some cases failed, 2 wrong usage, 3 data that cannot be used
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; by default those of the process.

    Returns
    -------
    int
        0 done, 1 some cases failed, 2 wrong usage, 3 data that cannot be used.
    """
    parser = _parser()
    given = sys.argv[1:] if argv is None else list(argv)
    if not given:
        parser.print_help(sys.stderr)
        return 2
    try:
        arguments, unknown = parser.parse_known_args(given)
        if unknown:
            arguments.parser.error(unknown_options(arguments.parser, unknown))
        _console.start(arguments.quiet, arguments.verbose)
        return int(arguments.run(arguments))
    except BrokenPipeError:  # the reader of stdout, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except UsageError as error:
        print(f"regforest: {error}", file=sys.stderr)
        return 2
    except (RegForestError, OSError) as error:
        print(f"regforest: {error}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        print("regforest: stopped; finished cases are kept", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="regforest",
        description="Vertebrae in CT and intervertebral discs in MR by forests on box features.",
        epilog=_EXAMPLE,
    )
    parser.add_argument("--version", action="version", version=f"regforest {__version__}")
    parser.add_argument(
        "--print-completion", action=PrintCompletion, metavar="SHELL", help="completion script for bash, zsh or tcsh"
    )
    commands = parser.add_subparsers(title="commands", dest="command", required=True, metavar="COMMAND")
    for group in (apply, container, train, evaluate, files, convert, phantom, info):
        group.add_commands(commands)
    return parser
