"""What others have published, as data.

``verified`` is True only where the figure was read in a public source. The others are remembered from the papers and
were not checked against them: every table that shows one says so in a footnote.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "PUBLISHED_STRUCTURES",
    "PUBLISHED_VERTEBRAE",
    "TEST60_DATA",
    "TWO_FOLD_DATA",
    "UNVERIFIED_NOTE",
    "Published",
]

UNVERIFIED_NOTE = "remembered from the paper, not checked against it"
"""Footnote of figures that are not verified."""

TWO_FOLD_DATA = "Annotated Spine CT Database, 2-fold over 224 scans"
"""Protocol of the main experiment; only these columns may be compared like for like."""

TEST60_DATA = "Annotated Spine CT Database, 242 scans to train and 60 to test"
"""Protocol of the 2014 challenge."""


@dataclass(frozen=True)
class Published:
    """One row of a published table.

    Attributes
    ----------
    name : str
        Short name for a column.
    source : str
        Publication.
    data : str
        What it was measured on: rows on other data are for orientation only.
    verified : bool
        Read in a public source, not remembered.
    regions : mapping
        Vertebrae: region -> ``median_mm``, ``mean_mm``, ``std_mm``, ``identification_rate`` (a fraction).
    measures : mapping
        Structures: ``localization_mm``, ``dice``, ``surface_mm`` -> ``{"mean": x}``, ``{"mean": x, "std": y}`` or
        ``{"range": [low, high]}``.
    note : str
        What to keep in mind when comparing.
    """

    name: str
    source: str
    data: str
    verified: bool
    regions: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    measures: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the entry of ``"published"`` in summary.json."""
        head = {"name": self.name, "verified": self.verified, "source": self.source, "data": self.data}
        notes = [note for note in (self.note, "" if self.verified else UNVERIFIED_NOTE) if note]
        values = {"regions": {k: dict(v) for k, v in self.regions.items()}} if self.regions else dict(self.measures)
        return {**head, "note": "; ".join(notes), **values}


def _region(median: float | None, mean: float, std: float, rate: float) -> dict[str, float]:
    row = {"mean_mm": mean, "std_mm": std, "identification_rate": round(rate / 100, 4)}
    return row if median is None else {"median_mm": median, **row}


_MICCAI = "Glocker, Zikic, Konukoglu, Haynor, Criminisi: MICCAI 2013"
_NORMAL = "200 scans of normal spines (not the database)"

PUBLISHED_VERTEBRAE: tuple[Published, ...] = (
    Published(
        "RF+HMM 2012", f"Glocker et al.: MICCAI 2012, as reported in {_MICCAI}", TWO_FOLD_DATA, verified=False,
        regions={
            "all": _region(14.8, 20.9, 20.0, 51),
            "cervical": _region(11.5, 17.0, 17.9, 54),
            "thoracic": _region(12.7, 19.0, 20.5, 56),
            "lumbar": _region(23.2, 26.6, 19.7, 42),
        },
    ),
    Published(
        "MICCAI 2013", _MICCAI, TWO_FOLD_DATA, verified=False,
        regions={
            "all": _region(8.8, 12.4, 11.2, 70),
            "cervical": _region(5.9, 7.0, 4.7, 80),
            "thoracic": _region(9.8, 13.8, 11.8, 62),
            "lumbar": _region(10.2, 14.3, 12.3, 75),
        },
    ),
    Published("RF+HMM 2012", _MICCAI, _NORMAL, verified=False, regions={"all": _region(5.4, 9.7, 11.2, 80)}),
    Published("MICCAI 2013", _MICCAI, _NORMAL, verified=False, regions={"all": _region(7.6, 11.5, 14.1, 76)}),
    Published(
        "Glocker 2013", "as reported in later papers on the same split", TEST60_DATA, verified=False,
        regions={"all": _region(None, 13.20, 17.83, 74.0)},
    ),
    Published(
        "Chen 2015", "Chen et al.: MICCAI 2015", TEST60_DATA, verified=False,
        regions={"all": _region(None, 8.82, 13.04, 84.2)},
    ),
    Published(
        "Liao 2018", "Liao et al.: IEEE TMI 2018", TEST60_DATA, verified=False,
        regions={"all": _region(None, 6.47, 8.56, 88.3)},
    ),
    Published(
        "Btrfly 2018", "Sekuboyina et al.: MICCAI 2018", TEST60_DATA, verified=True,
        regions={"all": {"identification_rate": 0.885}}, note="mean error stated as below 7 mm",
    ),
    Published(
        "McCouat 2019", "McCouat and Glocker 2019", TEST60_DATA, verified=True,
        regions={
            "all": _region(None, 5.60, 7.10, 85.8),
            "cervical": _region(None, 3.93, 5.27, 90.6),
            "thoracic": _region(None, 6.61, 7.40, 79.8),
            "lumbar": _region(None, 5.39, 8.72, 92.0),
        },
    ),
)  # fmt: skip
"""Vertebrae in CT; the two columns of the 2-fold protocol first."""


def _measures(localization: Any = None, dice: Any = None, surface: Any = None) -> dict[str, dict[str, Any]]:
    """Give each measure as a mean (a number) or as the range over several tables (a pair)."""
    given = {"localization_mm": localization, "dice": dice, "surface_mm": surface}
    return {
        key: {"range": list(value)} if isinstance(value, tuple) else {"mean": value}
        for key, value in given.items()
        if value is not None
    }


PUBLISHED_STRUCTURES: tuple[Published, ...] = (
    Published(
        "Chen MLMI 2014", "Chen, Belavy, Zheng: MLMI 2014", "discs, 25 patients, T2", verified=True,
        measures=_measures(1.3, 0.87, 1.3), note="T2 images, not the Dixon data",
    ),
    Published(
        "Chen TMI 2015", "Chen et al.: IEEE TMI 2015", "discs, 35 patients, T2", verified=False,
        measures=_measures((1.6, 2.0), (0.85, 0.88), (1.3, 1.4)),
    ),
    Published(
        "Chu 2015 (MR)", "Chu, Chen et al.: PLoS ONE 2015", "vertebral bodies, 23 MR", verified=False,
        measures=_measures(1.6, 0.887, 1.5), note="measured on the original masks of its own cases",
    ),
    Published(
        "Chu 2015 (CT)", "Chu, Chen et al.: PLoS ONE 2015", "vertebral bodies, 10 CT", verified=False,
        measures=_measures(1.9, 0.91, 0.9),
    ),
    Published(
        "CSI 2016 RF+CNN", "CSI challenge 2016", "discs, multi-modality MR", verified=True,
        measures=_measures(0.64, 0.908),
    ),
    Published(
        "CSI 2016 FCN", "CSI challenge 2016, winner", "discs, multi-modality MR", verified=True,
        measures=_measures(0.62, 0.912),
    ),
    Published(
        "Gao 2018", "IVDM3Seg challenge 2018", "discs, Dixon, on-site test", verified=True,
        measures=_measures(0.78, 0.906),
    ),
    Published(
        "Wang 2020", "Wang 2020, 3D U-Net", "discs, Dixon", verified=True,
        measures={"dice": {"mean": 0.89, "std": 0.014}},
    ),
    Published(
        "RIMNet 2021", "RIMNet 2021", "discs, IVDM3Seg, 16 scans", verified=True,
        measures={"dice": {"mean": 0.917, "std": 0.01}, "surface_mm": {"mean": 0.54}},
    ),
)  # fmt: skip
"""Discs and vertebral bodies in MR and CT."""
