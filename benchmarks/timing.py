"""Times of two sides, taken in turns."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Pairs", "paired", "seconds_of"]

Work = Callable[[], Any]


@dataclass(frozen=True)
class Pairs:
    """Seconds of both sides, one entry per pair."""

    ours: tuple[float, ...]
    peer: tuple[float, ...]


def seconds_of(work: Work) -> float:
    """Time one call; its result is dropped after the clock has stopped."""
    start = time.perf_counter()
    result = work()
    elapsed = time.perf_counter() - start
    del result
    return elapsed


def paired(ours: Work, peer: Work, repeats: int, *, warm_peer: bool = True) -> Pairs:
    """Run both sides in turns: what else the machine does meets both sides of a pair alike.

    Which side goes first alternates, so that neither always finds the caches as the other has left them. One call of
    each is thrown away before (compilation, first pages of memory); a slow peer that compiles nothing may go without.
    """
    ours()
    if warm_peer:
        peer()
    sides: tuple[tuple[Work, list[float]], ...] = ((ours, []), (peer, []))
    for turn in range(repeats):
        for work, times in sides if turn % 2 == 0 else reversed(sides):
            times.append(seconds_of(work))
    return Pairs(tuple(sides[0][1]), tuple(sides[1][1]))
