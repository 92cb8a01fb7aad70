"""The picture of a case as SVG: grey pixels inside, levels as shapes and words on top, sharp at any size."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from regforest.report.picture import CasePicture, View
from regforest.spatial import level

__all__ = ["colour", "picture_svg"]

_LOWEST, _HIGHEST, _WIDEST = 300.0, 560.0, 420.0  # size in px
_GAP, _FONT = 6.0, 10.5
_LETTER = 0.66 * _FONT  # width of a bold one, rather too wide than too narrow
_NARROWEST, _NARROWEST_DISCS = 130.0, 214.0  # room for the names beside a few slices
_QUALITIES = (72, 50, 30, 15)


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
        parts.append(_view(picture, _Stage(view, scale, (room - shown) / 2), data, left))
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


@dataclass(frozen=True)
class _Stage:
    """Where a view is drawn: pixels to a millimetre, and room beside the image where words may stand as well."""

    view: View
    scale: float
    margin: float

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of the image."""
        x0, x1, z0, z1 = self.view.cut.extent_mm
        return (x1 - x0) * self.scale, (z1 - z0) * self.scale

    def place(self, across_mm: float, height_mm: float) -> tuple[float, float]:
        x0, _, _, z1 = self.view.cut.extent_mm
        return (across_mm - x0) * self.scale, (z1 - height_mm) * self.scale

    def centre(self, point: NDArray[np.float64]) -> tuple[float, float]:
        return self.place(point[self.view.cut.axis], point[2])

    def path(self, line: NDArray[np.float64]) -> str:
        return "M" + "L".join("{:.1f} {:.1f}".format(*self.place(*corner)) for corner in line)

    def reach(self, lines: Iterable[tuple[str, NDArray[np.float64]]], name: str) -> list[float]:
        """Return where the outlines of one level lie across: its name stands beside them."""
        return [self.place(*corner)[0] for level_name, line in lines if level_name == name for corner in line]

    def word(self, x: float, y: float, words: str, anchor: str = "start", fill: str = "#fff") -> str:
        """Write beside a point, moved as far as it takes to be seen as a whole."""
        (width, height), length = self.size, _LETTER * len(words)
        x = min(x, width + self.margin - length) if anchor == "start" else max(x, length - self.margin)
        y = min(max(y, _FONT), height - 3)
        return (
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{fill}" stroke="#000" stroke-width="2.6" '
            f'stroke-linejoin="round" paint-order="stroke">{escape(words)}</text>'
        )


def _view(picture: CasePicture, stage: _Stage, pixels: str, left: float) -> str:
    """Draw one view into the room that begins at `left`."""
    width, height = stage.size
    first, second = stage.view.ends
    return (
        f'<svg x="{left + stage.margin:.1f}" width="{width:.1f}" height="{height:.1f}" overflow="visible">'
        f'<image width="{width:.1f}" height="{height:.1f}" preserveAspectRatio="none" '
        f'href="data:image/webp;base64,{pixels}"/>'
        + _annotated(picture, stage)
        + _predicted(picture, stage)
        + stage.word(4, 13, first, fill="#9aa4ad")
        + stage.word(width - 4, 13, second, "end", "#9aa4ad")
        + "</svg>"
    )


def _annotated(picture: CasePicture, stage: _Stage) -> str:
    lines = stage.view.annotated
    parts = [f'<path d="{stage.path(line)}" stroke-dasharray="3 2"/>' for _, line in lines]
    words = []
    for name in picture.annotated:
        x, y = stage.centre(picture.annotated[name])
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5.5"/>')
        words.append(stage.word(min((x - 5, *stage.reach(lines, name))) - 4, y + 3.5, name, "end"))
    shapes = "".join(parts)
    return f'<g class="annotated"><g fill="none" stroke="#fff" stroke-width="1.2">{shapes}</g>{"".join(words)}</g>'


def _predicted(picture: CasePicture, stage: _Stage) -> str:
    lines = stage.view.predicted
    parts = [
        f'<path d="{stage.path(line)}" fill="none" stroke="{colour(name)}" stroke-width="1.4"/>'
        for name, line in lines
    ]
    for name in picture.predicted:
        x, y = stage.centre(picture.predicted[name])
        if name in picture.annotated:
            tx, ty = stage.centre(picture.annotated[name])
            parts.append(f'<path d="M{tx:.1f} {ty:.1f}L{x:.1f} {y:.1f}" stroke="#fff" stroke-width=".9"/>')
        fill, edge = ("none", colour(name)) if picture.is_doubtful(name) else (colour(name), "#000")
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.2" fill="{fill}" stroke="{edge}" stroke-width="1.2"/>')
        end = max((x + 5, *stage.reach(lines, name)))
        parts.append(stage.word(end + 4, y + 3.5, picture.caption(name), fill=_light(name)))
    return f'<g class="predicted">{"".join(parts)}</g>'


def _light(name: str) -> str:
    """Return the colour of a level halfway to white: words in it can be read on black."""
    return "#" + "".join(f"{round(255 * (0.5 + part / 2)):02x}" for part in level(name).colour)


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
