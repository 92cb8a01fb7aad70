"""One static page for one run: opens from disk, asks nothing of the network, reads well in dark and light."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from regforest.io import write_text
from regforest.report.tables import Table
from regforest.report.template import PAGE

__all__ = ["Card", "write_page"]


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
    picture : bytes or None
        A JPEG.
    """

    name: str
    facts: Sequence[str]
    status: str = "ok"
    reason: str = ""
    picture: bytes | None = None


def write_page(
    path: Path,
    title: str,
    *,
    lead: str,
    tables: Sequence[tuple[str, Table]],
    charts: Sequence[tuple[str, str]],
    cards: Sequence[Card],
    failures: Sequence[Mapping[str, str]] = (),
    facts: Mapping[str, str] | None = None,
) -> None:
    """Write the page.

    Parameters
    ----------
    path : Path
        The HTML file.
    title, lead : str
        Heading and the sentence below it.
    tables : sequence of (str, Table)
        With a heading each.
    charts : sequence of (str, str)
        Heading and inline SVG.
    cards : sequence of Card
        In the order to show them: worst first.
    failures : sequence of mapping
        Rows of failures.csv: case, stage, error.
    facts : mapping of str to str
        What the run was made from; terms and citation of the data belong here.
    """
    sections = [f"<section><h2>{escape(head)}</h2>{table.to_html()}</section>" for head, table in tables]
    drawn = "".join(
        f"<section><h2>{escape(head)}</h2><div class=scroll>{svg}</div></section>" for head, svg in charts
    )
    sections.append(f"<div class=charts>{drawn}</div>")
    if failures:
        sections.append(_failures(failures))
    if cards:
        shown = "".join(_card(card) for card in cards)
        sections.append(f"<section><h2>Cases, worst first</h2>{_LEGEND}<div class=cards>{shown}</div></section>")
    rows = "".join(f"<dt>{escape(key)}</dt><dd>{escape(value)}</dd>" for key, value in (facts or {}).items() if value)
    sections.append(f"<section><h2>How this was made</h2><dl>{rows}</dl></section>")
    text = PAGE.substitute(title=escape(title), lead=escape(lead), sections="\n".join(sections))
    write_text(path, text)


_LEGEND = "<p class=note>Dots: located levels. Rings: annotated ones; a name in brackets was missed.</p>"


def _card(card: Card) -> str:
    picture = ""
    if card.picture is not None:
        data = base64.b64encode(card.picture).decode()
        picture = f'<img alt="{escape(card.name)}" src="data:image/jpeg;base64,{data}">'
    verdict = card.status if not card.reason else f"{card.status}: {card.reason}"
    facts = "".join(f"<li>{escape(fact)}</li>" for fact in card.facts)
    badge = f'<span class="badge {escape(card.status)}">{escape(verdict)}</span>'
    name = escape(card.name)
    return f'<article id="case-{name}">{picture}<h3>{name}</h3>{badge}<ul>{facts}</ul></article>'


def _failures(failures: Sequence[Mapping[str, str]]) -> str:
    rows = "".join(
        "<tr>" + "".join(f"<td class=text>{escape(row[key])}</td>" for key in ("case", "stage", "error")) + "</tr>"
        for row in failures
    )
    head = "<thead><tr><th>case</th><th>stage</th><th>error</th></tr></thead>"
    table = f"<div class=scroll><table>{head}<tbody>{rows}</tbody></table></div>"
    return f"<section><h2>Failed cases</h2>{table}</section>"
