"""What a benchmark is given: the sizes, how often to repeat, and where to say how it goes on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks.peak import Prepare, peak_memory_mb
from benchmarks.rows import Row
from benchmarks.scales import Scale
from benchmarks.timing import Pairs, Work, paired

__all__ = ["Benchmark", "Session"]


@dataclass(frozen=True)
class Session:
    """One run of the command."""

    scale: Scale
    repeats: int

    @property
    def quick(self) -> bool:
        """Whether this is a smoke test, whose numbers mean nothing."""
        return self.scale.name == "quick"

    @property
    def few(self) -> int:
        """Repeats where one call of the peer takes long."""
        return min(self.repeats, 3)

    def pairs(self, what: str, ours: Work, peer: Work, *, slow: bool = False) -> Pairs:
        """Time both sides in turns; a slow peer fewer times, and without a call to warm up."""
        self.say(what)
        return paired(ours, peer, self.few if slow else self.repeats, warm_peer=not slow)

    def peak(self, prepare: Prepare, *arguments: str) -> float | None:
        """Peak memory of our side in a process of its own; None in a quick run, where that would take longest."""
        return None if self.quick else round(peak_memory_mb(prepare, self.scale, *arguments), 1)

    def say(self, text: str) -> None:
        """Report progress."""
        print(f"  {text}", file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Benchmark:
    """A named part of the table."""

    name: str
    summary: str
    run: Callable[[Session], Iterator[Row]]
