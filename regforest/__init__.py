"""Vertebrae in CT and intervertebral discs in MR by forests on Haar-like box features.

Examples
--------
>>> import regforest
>>> regforest.LEVELS[:3]
('C1', 'C2', 'C3')
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from regforest._notebook import drawn_by
from regforest._version import __version__

if TYPE_CHECKING:
    from regforest.discs import DiscLocalizer
    from regforest.features import BoxFeatures
    from regforest.forest import ForestClassifier, ForestRegressor
    from regforest.io import read_landmarks, read_volume, write_landmarks, write_volume
    from regforest.spatial import LEVELS, AnnotatedScan, Grid, Landmarks, Localization, Volume
    from regforest.vertebrae import Identification, VertebraLocalizer, fit_chain_prior, identify

__all__ = [
    "LEVELS",
    "AnnotatedScan",
    "BoxFeatures",
    "DiscLocalizer",
    "ForestClassifier",
    "ForestRegressor",
    "Grid",
    "Identification",
    "Landmarks",
    "Localization",
    "VertebraLocalizer",
    "Volume",
    "__version__",
    "fit_chain_prior",
    "identify",
    "read_landmarks",
    "read_volume",
    "write_landmarks",
    "write_volume",
]

_HOMES = {
    "regforest.discs": ("DiscLocalizer",),
    "regforest.features": ("BoxFeatures",),
    "regforest.forest": ("ForestClassifier", "ForestRegressor"),
    "regforest.io": ("read_landmarks", "read_volume", "write_landmarks", "write_volume"),
    "regforest.spatial": ("LEVELS", "AnnotatedScan", "Grid", "Landmarks", "Localization", "Volume"),
    "regforest.vertebrae": ("Identification", "VertebraLocalizer", "fit_chain_prior", "identify"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

drawn_by("regforest.report.notebook")


def __getattr__(name: str) -> Any:
    # numba, scipy and scikit-learn take a second to import: only what is asked for is loaded
    if name not in _HOME_OF:
        raise AttributeError(f"module 'regforest' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
