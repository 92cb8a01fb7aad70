"""Many small scans through one ``regforest label --resume``: does anything pile up? ``python -m benchmarks.load``.

One scan is labelled before, so that what is loaded or compiled once does not count.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.small_scans import crops, small_model, small_phantoms
from regforest._memory import resident_mb
from regforest.cli import main as regforest

_SECONDS_BETWEEN = 0.5


@dataclass
class Watch:
    """Memory, open files and threads of this process, taken again and again by a thread of its own."""

    memory_mb: list[float] = field(default_factory=list)
    files: list[int] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)

    def __enter__(self) -> Watch:
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._end.wait(_SECONDS_BETWEEN):
            self.memory_mb.append(resident_mb())
            self.files.append(open_files())
            self.threads.append(threading.active_count() - 1)


def open_files() -> int:
    """Count the file handles of this process."""
    return len(os.listdir("/proc/self/fd"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; 1 if something was left behind or a scan failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__)
    parser.add_argument("--scans", type=int, default=1000, metavar="N", help="default: %(default)s")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        return _loaded(Path(name), options.scans)


def _loaded(folder: Path, count: int) -> int:
    phantoms = small_phantoms(6)
    model = small_model(phantoms, folder / "small.rfm")
    images = [str(path) for path in crops(phantoms, count, folder / "images")]
    _label(images[:1], folder / "out", model)
    files, threads, start = open_files(), threading.active_count(), time.process_time()
    with Watch() as watch:
        status = _label([*images], folder / "out", model)
    seconds = (time.process_time() - start) / (count - 1)
    done = len(list((folder / "out").glob("*.lml")))
    quarter = max(1, len(watch.memory_mb) // 4)
    left = open_files() - files, threading.active_count() - threads
    print(
        f"| scans labelled | {done} of {count} |\n"
        f"| processor seconds for a scan | {seconds:.3f} |\n"
        f"| memory, MB: first quarter, last quarter, peak | {max(watch.memory_mb[:quarter]):.0f}, "
        f"{max(watch.memory_mb[-quarter:]):.0f}, {max(watch.memory_mb):.0f} |\n"
        f"| file handles: before, at most, left behind | {files}, {max(watch.files)}, {left[0]} |\n"
        f"| threads: before, at most, left behind | {threads}, {max(watch.threads)}, {left[1]} |"
    )
    return int(status != 0 or done != count or left != (0, 0))


def _label(images: list[str], out: Path, model: Path) -> int:
    with contextlib.redirect_stdout(io.StringIO()):
        return regforest(["label", *images, "-o", str(out), "--model", str(model), "--resume"])


if __name__ == "__main__":
    sys.exit(main())
