"""Rights that hold: root may read everything, so tests of folders without rights give that power up for a while."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

_VERSION = 0x20080522  # of the structures, from Linux 2.6.26 on
_DAC_OVERRIDE, _DAC_READ_SEARCH = 1 << 1, 1 << 2


class _Header(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _Sets(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint32) for name in ("effective", "permitted", "inheritable")]


@contextmanager
def bound_by_rights() -> Iterator[None]:
    """Within, this thread may read what the rights of its user say and no more; skips where that cannot be had."""
    if os.name == "nt":
        pytest.skip("other rights there")
    if os.geteuid() != 0:
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header, sets = _Header(_VERSION, 0), (_Sets * 2)()
    if not hasattr(libc, "capset") or libc.capget(ctypes.byref(header), sets) != 0:
        pytest.skip("root may read everything here")
    before = sets[0].effective
    sets[0].effective = before & ~(_DAC_OVERRIDE | _DAC_READ_SEARCH)
    if libc.capset(ctypes.byref(header), sets) != 0:
        pytest.skip("root may read everything here")
    try:
        yield
    finally:
        sets[0].effective = before
        libc.capset(ctypes.byref(header), sets)


@contextmanager
def closed(path: os.PathLike[str], mode: int = 0) -> Iterator[None]:
    """Within, `path` has these rights, and they hold."""
    before = os.stat(path).st_mode
    os.chmod(path, mode)
    try:
        with bound_by_rights():
            yield
    finally:
        os.chmod(path, before)
