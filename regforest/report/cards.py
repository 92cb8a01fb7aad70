"""One case on the page: its picture, how bad it is, and what the scripts of the page need to know."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

from regforest.report.svg import colour
from regforest.report.tables import number
from regforest.spatial import sort_levels

__all__ = ["Card", "card_html"]

Points = Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Card:
    """One case on the page.

    Attributes
    ----------
    name : str
        Of the case.
    facts : sequence of str
        Short lines below the name, what matters most first.
    status, reason : str
        Verdict of the method.
    badness : float
        The larger the worse; the page begins with the worst.
    fold : str
        Name of the fold that tested it.
    errors_mm : mapping of str to float or None
        Annotated level -> localization error; None where it was missed.
    predicted, annotated : mapping of str to sequence of float
        Level -> point in LPS mm.
    picture : str or None
        An ``<svg>`` element as `picture_svg` makes it.
    volume : bytes or None
        Content of a .nii.gz for the 3-D view.
    """

    name: str
    facts: Sequence[str]
    status: str = "ok"
    reason: str = ""
    badness: float = 0.0
    fold: str = ""
    errors_mm: Mapping[str, float | None] = field(default_factory=dict)
    predicted: Points = field(default_factory=dict)
    annotated: Points = field(default_factory=dict)
    picture: str | None = None
    volume: bytes | None = None


def card_html(card: Card, with_view: bool) -> str:
    """Return the ``<article>`` of a case; the 3-D view can be chosen where there is one and the case has a volume."""
    name, verdict = escape(card.name), escape(card.status)
    picture = f"<div class=picture>{card.picture}</div>" if card.picture else ""
    reason = f"<p class=reason>{escape(card.reason)}</p>" if card.reason else ""
    fold = f"<span class=fold>fold {escape(card.fold)}</span>" if card.fold else ""
    facts = "".join(f"<li>{escape(fact)}</li>" for fact in card.facts)
    errors = {level: None if error is None else round(error, 2) for level, error in card.errors_mm.items()}
    return (
        f'<article class=case id="case-{name}" tabindex="-1" aria-label="case {name}" data-name="{name}" '
        f'data-status="{verdict}" data-fold="{escape(card.fold)}" data-badness="{card.badness:.4f}" '
        f'data-errors="{escape(json.dumps(errors))}">'
        f'<header><h3>{name}</h3><span class="badge {verdict}">{verdict}</span>{fold}</header>'
        f"{picture}{reason}<ul class=facts>{facts}</ul>{_levels(card)}{_actions(card, with_view)}</article>"
    )


def _levels(card: Card) -> str:
    items = "".join(
        f'<li><i style="background:{colour(level)}"></i> {escape(level)} '
        + ("missed" if card.errors_mm[level] is None else f"{number(card.errors_mm[level])} mm")
        + "</li>"
        for level in sort_levels(card.errors_mm)
    )
    return f"<details><summary>Error by level</summary><ul class=levels>{items}</ul></details>" if items else ""


def _actions(card: Card, with_view: bool) -> str:
    buttons = "".join(
        f'<button type=button value="{value}" aria-pressed=false>{value.capitalize()}</button>'
        for value in ("pass", "fail")
    )
    view = _scene(card) if with_view and card.volume is not None else ""
    return f"<div class=actions>{buttons}{view}</div>"


def _scene(card: Card) -> str:
    """Return what the 3-D view needs: a box to choose the case, its volume, and points with indices of colours."""
    levels = sort_levels(card.predicted)
    points = {
        "predicted": {level: [*_rounded(card.predicted[level]), i] for i, level in enumerate(levels)},
        "annotated": {level: [*_rounded(card.annotated[level]), 0] for level in sort_levels(card.annotated)},
        "colours": [colour(level) for level in levels],
    }
    volume = base64.b64encode(card.volume or b"").decode()
    return (
        "<label><input type=checkbox class=choose> 3-D</label>"
        f'<script type="application/json" class=points>{json.dumps(points)}</script>'
        f'<script type="text/plain" class=volume>{volume}</script>'
    )


def _rounded(point: Sequence[float]) -> list[float]:
    return [round(float(x), 1) for x in point]
