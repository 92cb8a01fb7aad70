"""One row of the table: a measurement, what it was measured against, and what it should reach."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.timing import Pairs

__all__ = ["Goal", "Row", "comparison", "missing"]


@dataclass(frozen=True)
class Goal:
    """What a number should reach."""

    goal: float
    stretch: float | None = None
    at_most: bool = False

    def judge(self, value: float) -> str:
        """Say which of the two a value reaches: "stretch", "goal" or "missed"."""
        if self.stretch is not None and self._met(value, self.stretch):
            return "stretch"
        return "goal" if self._met(value, self.goal) else "missed"

    def _met(self, value: float, limit: float) -> bool:
        return value <= limit if self.at_most else value >= limit


@dataclass(frozen=True)
class Row:
    """A row; see `to_json` for what is written of it.

    `value` and `unit` hold what is measured where it is no ratio of times. `holds` says whether what must be true
    beside the ratio (equal accuracy, equal labels) is true; a row where it is not has missed its goal.
    """

    what: str
    ours: float | None = None
    peer: float | None = None
    peer_name: str | None = None
    ratios: tuple[float, ...] = ()
    value: float | None = None
    unit: str | None = None
    goal: Goal | None = None
    holds: bool = True
    peak_memory_mb: float | None = None
    accuracy: Mapping[str, float] = field(default_factory=dict)
    threads: int = 2
    note: str = ""

    @property
    def ratio(self) -> dict[str, float] | None:
        """Median and range over the pairs."""
        if not self.ratios:
            return None
        return {"median": statistics.median(self.ratios), "min": min(self.ratios), "max": max(self.ratios)}

    @property
    def reached(self) -> str | None:
        """ "stretch", "goal" or "missed"; None where nothing was set or nothing was measured."""
        number = self.ratio["median"] if self.ratio else self.value
        if self.goal is None or number is None:
            return None
        return self.goal.judge(number) if self.holds else "missed"

    def to_json(self, benchmark: str, *, judged: bool = True) -> dict[str, Any]:
        """Return the row as it is written to a file; unjudged, it says nothing about its goal being reached."""
        return {
            "benchmark": benchmark,
            "what": self.what,
            "ours": self.ours,
            "peer": self.peer,
            "peer_name": self.peer_name,
            "ratio": self.ratio,
            "value": self.value,
            "unit": self.unit,
            "goal": self.goal.goal if self.goal else None,
            "stretch": self.goal.stretch if self.goal else None,
            "reached": self.reached if judged else None,
            "peak_memory_mb": self.peak_memory_mb,
            "threads": self.threads,
            "repeats": len(self.ratios) or None,
            "accuracy": dict(self.accuracy) or None,
            "note": self.note or None,
        }


def comparison(what: str, peer_name: str, pairs: Pairs, scale_peer: float = 1.0, **more: Any) -> Row:
    """Make a row of pairs of times; a peer that did a part of the work only is scaled up."""
    peer = [seconds * scale_peer for seconds in pairs.peer]
    ratios = tuple(p / o for o, p in zip(pairs.ours, peer, strict=True))
    return Row(
        what, ours=statistics.median(pairs.ours), peer=statistics.median(peer), peer_name=peer_name, ratios=ratios,
        **more,
    )  # fmt: skip


def missing(what: str, peer_name: str, goal: Goal | None = None) -> Row:
    """Make the row of a peer that is not installed."""
    return Row(what, peer_name=peer_name, goal=goal, note="not installed: pip install -e '.[bench]'")
