"""What goes to stderr: the log, above the bars of progress, and how much of it."""

from __future__ import annotations

import logging
import sys
from typing import Any

__all__ = ["announce_compilation", "start"]

_LOG = logging.getLogger("regforest")


def start(quiet: bool, verbose: bool) -> None:
    """Send the package's log to stderr: errors alone, or also what happens, or every detail."""
    _LOG.setLevel(logging.ERROR if quiet else logging.DEBUG if verbose else logging.INFO)
    if not any(isinstance(handler, _AboveBars) for handler in _LOG.handlers):
        _LOG.addHandler(_AboveBars())


class _AboveBars(logging.Handler):
    """Write each message as a line above the bars that are being shown."""

    def emit(self, record: logging.LogRecord) -> None:
        from tqdm import tqdm

        tqdm.write(self.format(record), file=sys.stderr)


def announce_compilation() -> None:
    """Say so, once, if a kernel has to be compiled: the wait looks like a hang otherwise."""
    from numba.core import event

    class Notice(event.Listener):  # type: ignore[misc]
        said = False

        def on_start(self, event: Any) -> None:
            if not Notice.said:
                Notice.said = True
                _LOG.info("compiling for this machine, once: half a minute or so; later runs start at once")

        def on_end(self, event: Any) -> None:
            pass

    event.register("numba:compile", Notice())
