"""The picture of a case as PNG, with everything drawn in: for slides, mails and viewers of images."""

from __future__ import annotations

import io
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from regforest.report.picture import CasePicture, View
from regforest.report.svg import colour

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["picture_png"]

_DRAWING = threading.Lock()  # matplotlib's text cache is not safe in threads
_DPI, _FONT_PT, _TITLE_PX = 100, 8, 24
_WIDEST = 1.6  # width of a picture in units of its greatest height


def picture_png(picture: CasePicture, title: str = "", height_px: int = 900) -> bytes:
    """Draw both views beside each other; returns the file's content.

    Parameters
    ----------
    picture : CasePicture
        What to draw; the marks are those of `picture_svg`.
    title : str
        Line above.
    height_px : int
        Height of the views; less where they are wide and flat.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    with _DRAWING:
        buffer = io.BytesIO()
        FigureCanvasAgg(_figure(picture, title, height_px)).print_figure(buffer, format="png", facecolor="black")
    return buffer.getvalue()


def _figure(picture: CasePicture, title: str, height_px: int) -> Figure:
    from matplotlib.figure import Figure

    extents = [view.cut.extent_mm for view in picture.views]
    widths = np.array([right - left for left, right, _, _ in extents])
    height = extents[0][3] - extents[0][2]
    scale = min(height_px / height, _WIDEST * height_px / widths.sum())
    head = _TITLE_PX if title else 0
    size = np.array([widths.sum() * scale, height * scale + head])
    figure = Figure(figsize=tuple(size / _DPI), dpi=_DPI, facecolor="black")
    left = 0.0
    for view, share in zip(picture.views, widths / widths.sum(), strict=True):
        axes = figure.add_axes((left, 0, share, 1 - head / size[1]))
        left += share
        _draw(axes, picture, view)
    if title:
        figure.text(0.01, 1 - 6 / size[1], title, color="white", fontsize=_FONT_PT + 1, va="top", wrap=True)
    return figure


def _draw(axes: Any, picture: CasePicture, view: View) -> None:
    extent = view.cut.extent_mm
    axes.imshow(
        view.grey, cmap="gray", vmin=0, vmax=255, extent=extent, aspect="auto", interpolation="bilinear"
    )  # fmt: skip
    for _, line in view.annotated:
        axes.plot(*line.T, "--", color="white", lw=0.8)
    for name, line in view.predicted:
        axes.plot(*line.T, "-", color=colour(name), lw=1.2)
    for name in picture.annotated:
        point = picture.annotated[name]
        axes.plot(point[view.cut.axis], point[2], "o", mfc="none", mec="white", mew=1.0, ms=9)
        _word(axes, name, (point[view.cut.axis], point[2]), "white", "right")
    for name in picture.predicted:
        point, doubtful = picture.predicted[name], picture.is_doubtful(name)
        face, edge = ("none", colour(name)) if doubtful else (colour(name), "black")
        axes.plot(point[view.cut.axis], point[2], "o", mfc=face, mec=edge, mew=1.4 if doubtful else 0.6, ms=6)
        _word(axes, picture.caption(name), (point[view.cut.axis], point[2]), colour(name), "left")
    for end, x, side in zip(view.ends, (5, -5), ("left", "right"), strict=True):
        axes.annotate(
            end, (float(side == "right"), 1), xytext=(x, -5), xycoords="axes fraction", textcoords="offset points",
            ha=side, va="top", color="0.63", fontsize=_FONT_PT, weight="bold",
        )  # fmt: skip
    axes.set(xlim=extent[:2], ylim=extent[2:])
    axes.axis("off")


def _word(axes: Any, text: str, point: tuple[float, float], edge: str, side: str) -> None:
    axes.annotate(
        text, point, xytext=(8 if side == "left" else -8, 0), textcoords="offset points", ha=side, va="center",
        color="white", fontsize=_FONT_PT, bbox={"facecolor": "black", "alpha": 0.6, "pad": 0.8, "edgecolor": edge,
        "lw": 0.7},
    )  # fmt: skip
