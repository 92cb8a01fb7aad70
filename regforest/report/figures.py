"""Pictures of labelled spines: sagittal and coronal, each flattened along the curve of the spine.

A scoliotic spine leaves every flat slice. The sagittal picture therefore follows the spine from left to right: each
row shows the voxels at the x of the spine at this height; the coronal picture follows it from front to back.
"""

from __future__ import annotations

import io
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy import ndimage

from regforest.io._atomic import staged
from regforest.spatial import Landmarks, Localization, Volume, level

__all__ = ["case_picture", "curved_views", "preview_png"]

FloatArray = NDArray[np.float64]
_DRAWING = threading.Lock()  # matplotlib's text cache is not safe in threads
_SLAB_MM = (-2.0, 0.0, 2.0)  # averaged across the picture's plane, against noise
_CT_WINDOW_HU = (-250.0, 900.0)
_DPI, _FONT_PT, _TITLE_PX = 100, 8, 22
_WIDEST = 1.6  # width of a picture in units of its greatest height


@dataclass(frozen=True)
class CurvedViews:
    """Two pictures through the spine.

    Attributes
    ----------
    sagittal, coronal : ndarray, shapes (rows, columns)
        First row cranial; columns from front to back, and from the patient's right to left.
    extent_sagittal, extent_coronal : tuple of float
        left, right, bottom, top in LPS mm: y and z, x and z.
    """

    sagittal: FloatArray
    coronal: FloatArray
    extent_sagittal: tuple[float, float, float, float]
    extent_coronal: tuple[float, float, float, float]


def curved_views(volume: Volume, points_lps_mm: FloatArray, step_mm: float = 1.0) -> CurvedViews:
    """Cut a volume along the curve of the spine.

    Parameters
    ----------
    volume : Volume
        Of any orientation and spacing.
    points_lps_mm : ndarray, shape (N, 3)
        On the spine, in any order; without points the middle of the volume is cut.
    step_mm : float
        Size of the pictures' pixels; made coarser for volumes of more than 600 mm.
    """
    corners = volume.grid.corners_lps_mm()
    low, high = corners.min(axis=0), corners.max(axis=0)
    step = max(step_mm, float((high - low).max()) / 600)
    x, y, z = (np.arange(low[axis], high[axis] + step, step) for axis in range(3))
    spine_x, spine_y = _curve(points_lps_mm, z, (low + high) / 2)
    sagittal = _average(
        volume, [(np.broadcast_to((spine_x + shift)[:, None], (len(z), len(y))), y[None, :], z) for shift in _SLAB_MM]
    )
    coronal = _average(
        volume, [(x[None, :], np.broadcast_to((spine_y + shift)[:, None], (len(z), len(x))), z) for shift in _SLAB_MM]
    )
    half = step / 2
    ends = (z[0] - half, z[-1] + half)
    return CurvedViews(
        sagittal[::-1], coronal[::-1], (y[0] - half, y[-1] + half, *ends), (x[0] - half, x[-1] + half, *ends)
    )


def case_picture(
    volume: Volume,
    predicted: Landmarks,
    annotated: Landmarks | None = None,
    *,
    title: str = "",
    image_format: str = "jpg",
    height_px: int = 460,
) -> bytes:
    """Draw a scan with predicted levels (filled, named) and annotated ones (rings).

    Parameters
    ----------
    volume : Volume
        The image.
    predicted, annotated : Landmarks
        In LPS millimetres; the curve follows the annotation where there is one.
    title : str
        Line above the pictures.
    image_format : {"jpg", "png"}
        Of the result.
    height_px : int
        Height of the picture.

    Returns
    -------
    bytes
        The encoded image.
    """
    truth = annotated if annotated is not None else Landmarks({})
    curve = truth if len(truth) >= 2 else predicted
    views = curved_views(volume, curve.points_lps_mm)
    with _DRAWING:
        figure = _figure(views, predicted, truth, title, height_px)
        buffer = io.BytesIO()
        options: dict[str, Any] = {"pil_kwargs": {"quality": 82}} if image_format == "jpg" else {}
        FigureCanvasAgg(figure).print_figure(buffer, format=image_format, facecolor="black", **options)
    return buffer.getvalue()


def preview_png(volume: Volume, localization: Localization, path: str | Path) -> None:
    """Write the picture of `regforest label --preview`: located levels on the spine, and the verdict on them."""
    verdict = localization.status if not localization.reason else f"{localization.status}: {localization.reason}"
    picture = case_picture(volume, localization.landmarks, title=verdict, image_format="png", height_px=900)
    with staged(Path(path)) as target:
        target.write_bytes(picture)


def _figure(views: CurvedViews, predicted: Landmarks, truth: Landmarks, title: str, height_px: int) -> Figure:
    extents = (views.extent_sagittal, views.extent_coronal)
    widths = np.array([right - left for left, right, _, _ in extents])
    height = extents[0][3] - extents[0][2]
    # one scale for both directions; wide and flat volumes are limited by the width
    scale = min(height_px / height, _WIDEST * height_px / widths.sum())
    head = _TITLE_PX if title else 0
    size = np.array([widths.sum() * scale, height * scale + head])
    figure = Figure(figsize=tuple(size / _DPI), dpi=_DPI, facecolor="black")
    low, high = _window(views)
    left = 0.0
    for pixels, extent, axis, share in zip(
        (views.sagittal, views.coronal), extents, (1, 0), widths / widths.sum(), strict=True
    ):
        axes = figure.add_axes((left, 0, share, 1 - head / size[1]))
        left += share
        axes.imshow(pixels, cmap="gray", vmin=low, vmax=high, extent=extent, aspect="auto", interpolation="bilinear")
        _mark(axes, predicted, truth, axis)
        axes.set(xlim=extent[:2], ylim=extent[2:])
        axes.axis("off")
    if title:
        figure.text(0.01, 1 - 5 / size[1], title, color="white", fontsize=_FONT_PT, va="top")
    return figure


def _mark(axes: Any, predicted: Landmarks, truth: Landmarks, axis: int) -> None:
    """Draw both sets of levels into one picture whose horizontal axis is x (0) or y (1)."""
    for name in truth:
        point = truth[name]
        axes.plot(point[axis], point[2], "o", mfc="none", mec="white", mew=1.0, ms=9, alpha=0.9)
        if name in predicted:
            there = predicted[name]
            axes.plot([point[axis], there[axis]], [point[2], there[2]], "-", color="white", lw=0.8)
        else:
            axes.annotate(
                f"({name})", (point[axis], point[2]), xytext=(-8, 0), textcoords="offset points", ha="right",
                va="center", color="white", fontsize=_FONT_PT,
            )  # fmt: skip
    for name in predicted:
        point, colour = predicted[name], level(name).colour
        axes.plot(point[axis], point[2], "o", color=colour, mec="black", mew=0.6, ms=5)
        axes.annotate(
            name, (point[axis], point[2]), xytext=(8, 0), textcoords="offset points", va="center", color="white",
            fontsize=_FONT_PT, bbox={"facecolor": "black", "alpha": 0.55, "pad": 0.8, "edgecolor": colour, "lw": 0.7},
        )  # fmt: skip


def _curve(points: FloatArray, z: FloatArray, middle: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return x and y of the spine at each height, constant beyond its ends."""
    if not len(points):
        return np.full(len(z), middle[0]), np.full(len(z), middle[1])
    ordered = points[np.argsort(points[:, 2], kind="stable")]
    return np.interp(z, ordered[:, 2], ordered[:, 0]), np.interp(z, ordered[:, 2], ordered[:, 1])


def _average(volume: Volume, sheets: list[tuple[FloatArray, FloatArray, FloatArray]]) -> FloatArray:
    """Average the volume over sheets of points given as x, y (rows, columns) and z (rows); edges are repeated."""
    total: FloatArray | float = 0.0
    for x, y, z in sheets:
        shape = np.broadcast_shapes(x.shape, y.shape)
        points = np.stack(np.broadcast_arrays(x, y, np.broadcast_to(z[:, None], shape)), axis=-1)
        index = volume.grid.lps_to_index(points)[..., ::-1]
        total = total + ndimage.map_coordinates(
            volume.voxels, index.reshape(-1, 3).T, output=np.float64, order=1, mode="nearest"
        ).reshape(shape)
    return np.asarray(total / len(sheets))


def _window(views: CurvedViews) -> tuple[float, float]:
    """Grey values of black and white: a bone window for CT, percentiles otherwise."""
    pixels = np.concatenate([views.sagittal.ravel(), views.coronal.ravel()])
    if pixels.min() < -150:  # only HU go this far below zero
        return _CT_WINDOW_HU
    low, high = np.percentile(pixels, [1, 99.5])
    return float(low), float(max(high, low + 1e-6))
