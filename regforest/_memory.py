"""How much memory work may take, and what it will take: settled before it begins."""

from __future__ import annotations

import os
import re
import resource
import sys
from pathlib import Path
from typing import NamedTuple

from regforest.errors import TooLargeError

__all__ = ["MemoryNeed", "Stage", "machine_mb", "memory_mb", "resident_mb"]

_COARSER = "give the image at a coarser spacing"
# what a container or a job of a cluster may take: control groups of version 2 and 1
_GROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
_UNITS = {"": 1e-6, "K": 1e-3, "M": 1.0, "G": 1e3, "T": 1e6}


def memory_mb(text: str) -> float:
    """Read an amount of memory as people write it, in megabytes; raises `ValueError` for anything else.

    Examples
    --------
    >>> memory_mb("2GB"), memory_mb("1.5 g"), memory_mb("800MB")
    (2000.0, 1500.0, 800.0)
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)B?", text.strip(), re.IGNORECASE)
    if not found or not float(found[1]):
        raise ValueError(f"expected an amount of memory such as 2GB or 800MB, got {text!r}")
    return float(found[1]) * _UNITS[found[2].upper()]


def resident_mb() -> float:
    """Return the memory that this process has now, in megabytes; where the system does not say, its peak."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * resource.getpagesize() / 1e6
    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux kilobytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def machine_mb() -> float:
    """Return the memory of this machine, or what of it this process may take, in megabytes."""
    groups = [Path(file).read_text().strip() for file in _GROUP_LIMITS if Path(file).exists()]
    limits = [int(text) for text in groups if text.isdigit()]  # version 2 says "max" where there is none
    return min([os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), *limits]) / 1e6


class Stage(NamedTuple):
    """What one stage of some work takes at most, in megabytes.

    Attributes
    ----------
    held_mb : float
        Input and result.
    work_mb : float
        What comes on top, with no regard to memory.
    slab_mb : float or None
        The same with the thinnest slabs; None if the stage does not work in slabs.
    """

    held_mb: float
    work_mb: float = 0.0
    slab_mb: float | None = None

    @property
    def most_mb(self) -> float:
        """Memory with no regard to it."""
        return self.held_mb + self.work_mb

    @property
    def least_mb(self) -> float:
        """Memory with the thinnest slabs."""
        return self.held_mb + (self.work_mb if self.slab_mb is None else min(self.slab_mb, self.work_mb))


class MemoryNeed(dict[str, Stage]):
    """Stage -> what it takes, beside the process itself; the stages follow one another.

    Examples
    --------
    >>> need = MemoryNeed(reading=Stage(100.0), classifying=Stage(150.0, work_mb=150.0, slab_mb=30.0))
    >>> need.most_mb, need.least_mb
    (300.0, 180.0)
    >>> need.left_for("classifying", 1000.0), need.left_for("classifying", 200.0)
    (None, 50.0)
    """

    @property
    def most_mb(self) -> float:
        """Memory of the dearest stage, with no regard to memory."""
        return max((stage.most_mb for stage in self.values()), default=0.0)

    @property
    def least_mb(self) -> float:
        """Memory of the dearest stage with the thinnest slabs."""
        return max((stage.least_mb for stage in self.values()), default=0.0)

    def check(self, available_mb: float | None, what: str = "this image", advice: str = _COARSER) -> None:
        """Refuse work that does not fit even slab by slab, or with one thread.

        Raises
        ------
        TooLargeError
            That names the stage, what it needs and what there is.
        """
        if available_mb is None or self.least_mb <= available_mb:
            return
        name = max(self, key=lambda stage: self[stage].least_mb)
        raise TooLargeError(
            f"{what}: {name} needs {self.least_mb:.0f} MB, but {max(available_mb, 0):.0f} MB are left of the bound "
            f"for memory; raise it, or {advice}"
        )

    def threads(self, stage: str, available_mb: float | None, n_jobs: int) -> int:
        """Return how many of `n_jobs` threads fit into a stage whose `slab_mb` is what one of them takes.

        Examples
        --------
        >>> need = MemoryNeed(growing=Stage(100.0, work_mb=80.0, slab_mb=20.0))
        >>> need.threads("growing", 150.0, 4), need.threads("growing", None, 4)
        (2, 4)
        """
        held_mb, _, each_mb = self[stage]
        if available_mb is None or not each_mb:
            return n_jobs
        return max(1, min(n_jobs, int((available_mb - held_mb) / each_mb)))

    def left_for(self, stage: str, available_mb: float | None) -> float | None:
        """Return the bound that the work of a stage has to keep; None if it fits as it is."""
        if available_mb is None or self[stage].most_mb <= available_mb:
            return None
        return available_mb - self[stage].held_mb
