"""Fuzz one parser, in a process of its own: ``python -m fuzz.harness NAME CORPUS... [options of libFuzzer]``."""

from __future__ import annotations

import atexit
import contextlib
import logging
import shutil
import sys
import tempfile
import warnings
from pathlib import Path

import atheris

# compiled kernels cannot be watched: whatever holds or needs them is loaded before the watching begins
from fuzz.parsers import INSTRUMENTED, parsers
from regforest.errors import RegForestError
from regforest.forest import Forest


def main() -> None:
    """Feed one parser until time is up; anything but a result or a `RegForestError` ends the process."""
    name = sys.argv.pop(1)
    logging.disable()
    warnings.simplefilter("ignore")
    Forest._problem = atheris.instrument_func(Forest._problem)  # type: ignore[method-assign]
    with atheris.instrument_imports(include=list(INSTRUMENTED)):
        parser = parsers()[name]
    memory = Path("/dev/shm")
    folder = tempfile.mkdtemp(prefix="regforest-fuzz-", dir=memory if memory.is_dir() else None)
    file = Path(folder) / parser.file_name
    atexit.register(shutil.rmtree, folder, ignore_errors=True)

    def parse(data: bytes) -> None:
        file.write_bytes(data)
        with contextlib.suppress(RegForestError):
            parser.parse(file)

    atheris.Setup(sys.argv, parse)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
