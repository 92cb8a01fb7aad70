"""The picture of a case as SVG: grey pixels inside, levels as shapes and words on top, sharp at any size."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterable
from html import escape

import numpy as np
from numpy.typing import NDArray

from regforest.report.picture import CasePicture, View
from regforest.spatial import level

__all__ = ["colour", "picture_svg"]

_LOWEST, _HIGHEST, _WIDEST = 300.0, 560.0, 420.0  # size in px
_GAP, _FONT = 6.0, 10.5
_NARROWEST, _NARROWEST_DISCS = 130.0, 214.0  # room for the names beside a few slices
_QUALITIES = (72, 50, 30, 15)

Place = Callable[[float, float], tuple[float, float]]


def picture_svg(picture: CasePicture, label: str, max_bytes: int = 60_000) -> str:
    """Draw both views beside each other.

    Predicted levels are dots in their colours with the name at the right, hollow where the name is doubtful;
    annotated ones are white rings with the name at the left. Groups have the classes ``predicted`` and ``annotated``.

    Parameters
    ----------
    picture : CasePicture
        What to draw.
    label : str
        Says what is seen to those who do not see it.
    max_bytes : int
        For the grey pixels of both views together; the quality is lowered until they fit.

    Returns
    -------
    str
        One ``<svg>`` element that needs nothing from outside: a file, or part of a page.
    """
    scale = _scale(picture)
    widths = [(view.cut.extent_mm[1] - view.cut.extent_mm[0]) * scale for view in picture.views]
    has_discs = any("/" in name for name in (*picture.predicted, *picture.annotated))
    rooms = [max(width, _NARROWEST_DISCS if has_discs else _NARROWEST) for width in widths]
    _, _, low, high = picture.views[0].cut.extent_mm
    width, height = sum(rooms) + _GAP, (high - low) * scale
    pixels = _encoded([view.grey for view in picture.views], max_bytes)
    parts, left = [], 0.0
    for view, data, shown, room in zip(picture.views, pixels, widths, rooms, strict=True):
        parts.append(_view(picture, view, data, left + (room - shown) / 2, scale))
        left += room + _GAP
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="spine" role="img" aria-label="{escape(label)}" '
        f'viewBox="0 0 {width:.1f} {height:.1f}" width="{width:.0f}" height="{height:.0f}" '
        f'font-family="system-ui, sans-serif" font-size="{_FONT}" font-weight="600">'
        f'<rect width="100%" height="100%" fill="#000"/>{"".join(parts)}</svg>'
    )


def colour(name: str) -> str:
    """Return the fixed colour of a level as ``#rrggbb``."""
    return "#" + "".join(f"{round(255 * part):02x}" for part in level(name).colour)


def _scale(picture: CasePicture) -> float:
    """Return the pixels per millimetre, the same in all directions."""
    extents = [view.cut.extent_mm for view in picture.views]
    height_mm = extents[0][3] - extents[0][2]
    width_mm = sum(right - left for left, right, _, _ in extents)
    return float(min(np.clip(height_mm, _LOWEST, _HIGHEST) / height_mm, _WIDEST / width_mm))


def _view(picture: CasePicture, view: View, pixels: str, left: float, scale: float) -> str:
    """Draw one view with its upper left corner at (left, 0)."""
    x0, x1, z0, z1 = view.cut.extent_mm
    width, height = (x1 - x0) * scale, (z1 - z0) * scale

    def place(across_mm: float, height_mm: float) -> tuple[float, float]:
        return (across_mm - x0) * scale, (z1 - height_mm) * scale

    ends = ("A", "P") if view.cut.axis == 1 else ("R", "L")
    return (
        f'<svg x="{left:.1f}" width="{width:.1f}" height="{height:.1f}" overflow="visible">'
        f'<image width="{width:.1f}" height="{height:.1f}" preserveAspectRatio="none" '
        f'href="data:image/webp;base64,{pixels}"/>'
        + _annotated(picture, view, place)
        + _predicted(picture, view, place)
        + _text(4, 13, ends[0], fill="#9aa4ad")
        + _text(width - 4, 13, ends[1], "end", "#9aa4ad")
        + "</svg>"
    )


def _annotated(picture: CasePicture, view: View, place: Place) -> str:
    parts = [f'<path d="{_path(line, place)}" stroke-dasharray="3 2"/>' for _, line in view.annotated]
    words = []
    for name in picture.annotated:
        point = picture.annotated[name]
        x, y = place(point[view.cut.axis], point[2])
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5.5"/>')
        edge = min((x - 5, *(place(*corner)[0] for corner in _outline(view.annotated, name))))
        words.append(_text(edge - 4, y + 3.5, name, "end"))
    shapes = "".join(parts)
    return f'<g class="annotated"><g fill="none" stroke="#fff" stroke-width="1.2">{shapes}</g>{"".join(words)}</g>'


def _predicted(picture: CasePicture, view: View, place: Place) -> str:
    parts = [
        f'<path d="{_path(line, place)}" fill="none" stroke="{colour(name)}" stroke-width="1.4"/>'
        for name, line in view.predicted
    ]
    for name in picture.predicted:
        point = picture.predicted[name]
        x, y = place(point[view.cut.axis], point[2])
        if name in picture.annotated:
            there = picture.annotated[name]
            tx, ty = place(there[view.cut.axis], there[2])
            parts.append(f'<path d="M{tx:.1f} {ty:.1f}L{x:.1f} {y:.1f}" stroke="#fff" stroke-width=".9"/>')
        fill, edge = ("none", colour(name)) if picture.is_doubtful(name) else (colour(name), "#000")
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.2" fill="{fill}" stroke="{edge}" stroke-width="1.2"/>')
        end = max((x + 5, *(place(*corner)[0] for corner in _outline(view.predicted, name))))
        parts.append(_text(end + 4, y + 3.5, picture.caption(name), fill=_light(name)))
    return f'<g class="predicted">{"".join(parts)}</g>'


def _text(x: float, y: float, words: str, anchor: str = "start", fill: str = "#fff") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{fill}" stroke="#000" stroke-width="2.6" '
        f'stroke-linejoin="round" paint-order="stroke">{escape(words)}</text>'
    )


def _light(name: str) -> str:
    """Return the colour of a level halfway to white: words in it can be read on black."""
    return "#" + "".join(f"{round(255 * (0.5 + part / 2)):02x}" for part in level(name).colour)


def _outline(lines: Iterable[tuple[str, NDArray[np.float64]]], name: str) -> list[tuple[float, float]]:
    """Return all points on the outlines of one level: its name stands beside them."""
    return [(across, height) for level_name, line in lines if level_name == name for across, height in line]


def _path(line: NDArray[np.float64], place: Place) -> str:
    points = (place(across, height) for across, height in line)
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _encoded(greys: Iterable[NDArray[np.uint8]], max_bytes: int) -> list[str]:
    """Encode pictures as WebP, base64, with the best quality at which they fit together."""
    shown = list(greys)
    for quality in _QUALITIES:
        files = [_webp(grey, quality) for grey in shown]
        if sum(map(len, files)) <= max_bytes:
            break
    return [base64.b64encode(file).decode() for file in files]


def _webp(grey: NDArray[np.uint8], quality: int) -> bytes:
    from matplotlib import image  # takes a moment to import, and most commands draw nothing

    buffer = io.BytesIO()
    options = {"quality": quality, "method": 5}
    image.imsave(buffer, grey, format="webp", cmap="gray", vmin=0, vmax=255, pil_kwargs=options)
    return buffer.getvalue()
