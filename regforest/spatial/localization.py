"""The answer of a localizer: where the levels are, how sure it is, and why not where it is not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from regforest._notebook import Shown
from regforest.spatial.landmarks import Landmarks

__all__ = ["Localization", "number_or_none"]


@dataclass(frozen=True)
class Localization(Shown):
    """Landmarks with the verdict on them.

    Attributes
    ----------
    landmarks : Landmarks
        Located levels, LPS millimetres, with scores.
    status : {"ok", "uncertain", "empty"}
        ``"uncertain"``: the levels may be shifted or the picture makes little sense; ``"empty"``: nothing found.
    reason : str
        Why the status is not ``"ok"``; empty otherwise.
    anchored : bool
        Whether a level that names itself (skull base, sacrum, first or last rib ...) is in view.
    shift_probability : mapping of int to float
        Probability that the whole chain is right as named (0), or should be named one level lower (+1, caudal)
        or higher (-1, cranial).
    probabilities : mapping of str to float
        Level -> probability that its name is right.
    notes : tuple of str
        What to know about the result whatever its status: channels that were missing.
    """

    landmarks: Landmarks
    status: str
    reason: str = ""
    anchored: bool = False
    shift_probability: Mapping[int, float] = field(default_factory=lambda: {-1: 0.0, 0: 1.0, 1: 0.0})
    probabilities: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def to_json(self, image: str) -> dict[str, Any]:
        """Return the content of the ``<stem>.json`` that `regforest label` writes; undefined numbers are None."""
        return {
            "image": image,
            "frame": "LPS mm",
            "status": self.status,
            "reason": self.reason,
            "notes": list(self.notes),
            "anchored": self.anchored,
            "shift_probability": {
                str(shift): number_or_none(p) for shift, p in sorted(self.shift_probability.items())
            },
            "levels": [
                {
                    "level": name,
                    "point": [round(float(x), 3) for x in self.landmarks[name]],
                    "score": number_or_none(self.landmarks.score(name)),
                    "probability": number_or_none(self.probabilities.get(name)),
                }
                for name in self.landmarks
            ],
        }


def number_or_none(value: float | None) -> float | None:
    """Round a score or probability to 6 decimals for a file; None for NaN, which JSON does not have, and for None."""
    return None if value is None or value != value else round(float(value), 6)
