"""What notebooks show for a volume, landmarks and a localization; registered when this module is imported."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from regforest._notebook import picture
from regforest.report.picture import case_picture
from regforest.report.svg import colour, picture_svg
from regforest.report.tables import number, percent
from regforest.spatial import Landmarks, Localization, Volume

__all__ = ["landmarks_html", "levels_table", "localization_html", "verdict", "volume_html"]


def verdict(found: Localization) -> str:
    """Return status, reason and the probability that the chain is shifted, in one line.

    Examples
    --------
    >>> verdict(Localization(Landmarks({}), "empty", "nothing found"))
    'empty: nothing found'
    >>> verdict(Localization(Landmarks({"L1": (0, 0, 0)}), "ok", shift_probability={-1: 0.02, 0: 0.95, 1: 0.03}))
    'ok; shifted by one level with probability 5.0 %'
    """
    words = f"{found.status}: {found.reason}" if found.reason else found.status
    shifted = sum(p for shift, p in found.shift_probability.items() if shift)
    return f"{words}; shifted by one level with probability {percent(shifted)}" if shifted >= 0.0005 else words


@picture.register
def volume_html(volume: Volume) -> str:
    """Return the sagittal and coronal slices through the middle, with size, spacing and axes of the grid."""
    svg = picture_svg(case_picture(volume, Localization(Landmarks({}), "empty")), "middle slices of a volume")
    grid = volume.grid
    size = " x ".join(map(str, grid.size_xyz))
    spacing = " x ".join(f"{mm:.3g}" for mm in grid.spacing_mm)
    facts = f"{size} voxels of {spacing} mm, {volume.voxels.dtype}, axes {grid.axis_code}"
    return f"<div>{svg}<div><small>{facts}</small></div></div>"


@picture.register
def landmarks_html(landmarks: Landmarks) -> str:
    """Return the points seen from the left and from the front, and a table of them."""
    rows = [[*_point(landmarks[name]), _plain(landmarks.score(name))] for name in landmarks]
    table = _table(landmarks, [*(f"{axis} ({landmarks.frame} mm)" for axis in "xyz"), "score"], rows)
    sketches = _sketch(landmarks, 1) + _sketch(landmarks, 0)
    return f'<div style="display:flex;flex-wrap:wrap;gap:1em">{sketches}{table}</div>'


@picture.register
def localization_html(found: Localization) -> str:
    """Return the verdict, and a table of the levels with their probabilities."""
    return f"<div><p>{escape(verdict(found))}</p>{levels_table(found)}</div>"


def levels_table(found: Localization) -> str:
    """Return the table of the levels alone."""
    landmarks = found.landmarks
    rows = [
        [percent(found.probabilities.get(name)), *_point(landmarks[name]), _plain(landmarks.score(name))]
        for name in landmarks
    ]
    heads = ["probability", *(f"{axis} (LPS mm)" for axis in "xyz"), "score"]
    return _table(landmarks, heads, rows)


def _table(landmarks: Landmarks, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "<th class=text>level</th>" + "".join(f"<th>{escape(text)}</th>" for text in heads)
    body = "".join(
        f'<tr><th><span style="color:{colour(name)}">&#9679;</span> {escape(name)}</th>'
        + "".join(f"<td>{escape(cell)}</td>" for cell in row)
        + "</tr>"
        for name, row in zip(landmarks, rows, strict=True)
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _sketch(landmarks: Landmarks, axis: int) -> str:
    """Draw the points with z upwards and one other axis to the right, on one scale."""
    if not len(landmarks):
        return ""
    across, up = landmarks.points[:, axis], landmarks.points[:, 2]
    scale = 340 / max(np.ptp(up), np.ptp(across), 40.0)
    dots = "".join(
        f'<circle cx="{12 + (x - across.min()) * scale:.1f}" cy="{12 + (up.max() - z) * scale:.1f}" r="4" '
        f'fill="{colour(name)}" stroke="#777"><title>{escape(name)}</title></circle>'
        f'<text x="{20 + (x - across.min()) * scale:.1f}" y="{16 + (up.max() - z) * scale:.1f}">{escape(name)}</text>'
        for name, x, z in zip(landmarks, across, up, strict=True)
    )
    width, height = 70 + np.ptp(across) * scale, 24 + np.ptp(up) * scale
    side = "from the left" if axis == 1 else "from the front"
    return (
        f'<svg width="{width:.0f}" height="{height:.0f}" role="img" aria-label="levels seen {side}" '
        f'fill="currentColor" font-size="11" font-family="system-ui, sans-serif">{dots}</svg>'
    )


def _point(point: np.ndarray) -> list[str]:
    return [f"{round(x, 1) + 0.0:.1f}" for x in point]  # never -0.0


def _plain(score: float) -> str:
    return number(None if np.isnan(score) else score, 3)
