"""What there is to see of one scan: both cuts along its spine, and what was annotated and predicted in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regforest.report.curved import CurvedCut, Masks, coronal_cut, outlines, sagittal_cut
from regforest.spatial import Landmarks, Localization, Volume

__all__ = ["SURE", "CasePicture", "View", "case_picture", "grey_window", "is_ct"]

FloatArray = NDArray[np.float64]
SURE = 0.8
"""A level whose name is less probable than this is drawn hollow."""
_CT_WINDOW_HU = (-250.0, 900.0)


@dataclass(frozen=True)
class View:
    """One of the two pictures.

    Attributes
    ----------
    cut : CurvedCut
        Where it lies.
    grey : ndarray of uint8, shape (rows, columns)
        Windowed image.
    predicted, annotated : list of (str, ndarray)
        Outlines: level, and points (N, 2), across and height in mm.
    """

    cut: CurvedCut
    grey: NDArray[np.uint8]
    predicted: list[tuple[str, FloatArray]]
    annotated: list[tuple[str, FloatArray]]

    @property
    def ends(self) -> tuple[str, str]:
        """Letters of the patient's sides at the left and at the right of the view."""
        return ("A", "P") if self.cut.axis == 1 else ("R", "L")


@dataclass(frozen=True)
class CasePicture:
    """Both views and the levels in them; drawn by `svg.picture_svg` and `png.picture_png`.

    Attributes
    ----------
    views : tuple of View
        Sagittal and coronal.
    predicted, annotated : Landmarks
        LPS mm.
    probabilities : mapping of str to float
        Level -> probability that a predicted level has the right name; may be empty.
    """

    views: tuple[View, View]
    predicted: Landmarks
    annotated: Landmarks
    probabilities: Mapping[str, float] = field(default_factory=dict)

    def is_doubtful(self, name: str) -> bool:
        """Whether the name of a predicted level is less probable than `SURE`."""
        return self.probabilities.get(name, 1.0) < SURE

    def caption(self, name: str) -> str:
        """Return the name of a predicted level, with its probability where that is doubtful."""
        return f"{name} {100 * self.probabilities[name]:.0f} %" if self.is_doubtful(name) else name


def case_picture(
    volume: Volume,
    found: Localization,
    annotated: Landmarks | None = None,
    *,
    predicted_masks: Masks | None = None,
    annotated_masks: Masks | None = None,
) -> CasePicture:
    """Prepare the picture of a labelled scan.

    Parameters
    ----------
    volume : Volume
        The image, of any orientation.
    found : Localization
        Predicted levels and how sure their names are.
    annotated : Landmarks, optional
        In LPS millimetres; the cuts follow the annotation where it has two levels or more, else the prediction.
    predicted_masks, annotated_masks : Masks, optional
        Segmentations, shown as outlines.
    """
    truth = annotated if annotated is not None else Landmarks({})
    curve = (truth if len(truth) >= 2 else found.landmarks).points_lps_mm
    shown = np.concatenate([truth.points_lps_mm, found.landmarks.points_lps_mm])
    cuts = sagittal_cut(volume, curve, shown), coronal_cut(volume, curve, shown)
    greys = [cut.grey(volume) for cut in cuts]
    low, high = _CT_WINDOW_HU if is_ct(volume) else grey_window(np.concatenate([grey.ravel() for grey in greys]))
    views = (
        View(
            cut,
            np.clip((grey - low) * (255 / (high - low)), 0, 255).astype(np.uint8),
            outlines(cut, predicted_masks) if predicted_masks else [],
            outlines(cut, annotated_masks) if annotated_masks else [],
        )
        for cut, grey in zip(cuts, greys, strict=True)
    )
    return CasePicture((next(views), next(views)), found.landmarks, truth, found.probabilities)


def is_ct(volume: Volume) -> bool:
    """Whether the values are HU: only they go this far below zero."""
    return bool(volume.voxels[::2, ::2, ::2].min() < -150)


def grey_window(values: NDArray[Any]) -> tuple[float, float]:
    """Return the values that become black and white: percentiles that leave out the few extreme ones."""
    low, high = np.percentile(values, [1, 99.5])
    return float(low), float(max(high, low + 1e-6))
