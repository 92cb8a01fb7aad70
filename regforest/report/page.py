"""One static page for one run: opens from disk, asks nothing of the network, reads well in dark and light."""

from __future__ import annotations

import base64
import gzip
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

from regforest.io import write_text
from regforest.report.cards import Card, card_html
from regforest.report.niivue import Viewer, installed_viewer
from regforest.report.picture import SURE
from regforest.report.tables import Table
from regforest.spatial import sort_levels

__all__ = ["PageRoom", "write_page", "write_plain_page"]

_LEGEND = (
    "Cut along the curve of the spine; A front, P back, R and L the patient's right and left. Dots with coloured "
    f"names at the right: predicted levels, hollow where the name is less than {100 * SURE:.0f} % probable. White "
    "rings with names at the left: annotated levels. Outlines: segmentation, dashed where annotated."
)
_WITHOUT_VIEWER = (
    'No 3-D view in this page: it needs the extra "view" (pip install "regforest[view]") when the page is written.'
)


class PageRoom:
    """How many bytes a case may bring so that the page of a run stays below 30 MB.

    Parameters
    ----------
    cases : int
        On the page.

    Attributes
    ----------
    picture, volume : int
        For the grey pixels of the picture, and for the volume of the 3-D view; a third more in the page.

    Examples
    --------
    >>> PageRoom(224).picture, PageRoom(224).volume, PageRoom(4).volume
    (40178, 42410, 400000)
    """

    def __init__(self, cases: int) -> None:
        self.picture = min(150_000, 9_000_000 // max(cases, 1))
        self.volume = min(400_000, 9_500_000 // max(cases, 1))


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
    notices: Sequence[str] = (),
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
        In any order; the page begins with the worst.
    failures : sequence of mapping
        Rows of failures.csv: case, stage, error.
    facts : mapping of str to str
        What the run was made from.
    notices : sequence of str
        What must not be missed, such as terms of the data set; shown at the top.

    Raises
    ------
    FileError
        If the file cannot be written.
    """
    ordered = sorted(cards, key=lambda card: (-card.badness, card.name))
    shows_images = any(card.picture or card.volume for card in cards)
    viewer = installed_viewer() if any(card.volume for card in cards) else None
    sections = [f"<section><h2>{escape(head)}</h2>{table.to_html()}</section>" for head, table in tables]
    sections.append(_charts(charts))
    sections += [_failures(failures)] if failures else []
    sections += [_cases(title, ordered, viewer, shows_images)] if cards else []
    sections.append(_facts(facts or {}))
    sections += [_licence(viewer)] if viewer else []
    scripts = [_file("page.js")] if cards else []
    scripts += [_file("view3d.js")] if viewer else []
    _write(path, title, lead, sections, [f"<p class=notice>{escape(text)}</p>" for text in notices], scripts)


def write_plain_page(path: Path, title: str, *, lead: str, sections: Sequence[str]) -> None:
    """Write a page of the same looks without cases and scripts; the sections are HTML."""
    _write(path, title, lead, sections, [], [])


def _write(
    path: Path, title: str, lead: str, sections: Iterable[str], notices: Iterable[str], scripts: Iterable[str]
) -> None:
    text = Template(_file("page.html")).substitute(
        title=escape(title),
        lead=escape(lead),
        style=_file("page.css"),
        notices="".join(notices),
        sections="\n".join(sections),
        scripts="".join(f"<script>\n{script}</script>\n" for script in scripts),
    )
    write_text(path, text)


def _file(name: str) -> str:
    return (files("regforest.report") / name).read_text(encoding="utf-8")


def _charts(charts: Sequence[tuple[str, str]]) -> str:
    drawn = "".join(
        f'<figure role=img aria-label="{escape(head)}"><figcaption>{escape(head)}</figcaption>'
        f"<div class=scroll>{svg}</div></figure>"
        for head, svg in charts
    )
    return f"<section><h2>Charts</h2><div class=charts>{drawn}</div></section>" if drawn else ""


def _cases(title: str, cards: Sequence[Card], viewer: Viewer | None, shows_images: bool) -> str:
    shown = "\n".join(card_html(card, viewer is not None) for card in cards)
    notes = [_LEGEND] if shows_images else ["Written without pictures: nothing of the images is in this page."]
    notes += [_WITHOUT_VIEWER] if shows_images and viewer is None else []
    section = Template(_file("cases.html")).substitute(
        # marks belong to these results: a new run begins without any
        run=f"regforest {hashlib.sha256((title + shown).encode()).hexdigest()[:16]}",
        levels=_options(sort_levels({level for card in cards for level in card.errors_mm})),
        statuses=_options(sorted({card.status for card in cards})),
        folds=_options(sorted({card.fold for card in cards} - {""})),
        view_button="<button type=button id=open3d disabled>3-D view</button>" if viewer else "",
        legend=escape(" ".join(notes)),
        cards=shown,
    )
    return section + (_scene(viewer) if viewer else "")


def _options(values: Iterable[str]) -> str:
    return "".join(f'<option value="{escape(value)}">{escape(value)}</option>' for value in values)


def _scene(viewer: Viewer) -> str:
    code = base64.b64encode(gzip.compress(viewer.code.encode(), mtime=0)).decode()
    return (
        '<dialog id=view3d aria-label="3-D view"><header><p class=note>Drag to turn, wheel to zoom. What lies within '
        "50 mm of the spine, made coarse; of CT bone alone. Coloured: predicted levels; white: annotated ones.</p>"
        "<label><input type=checkbox id=slices> slices</label>"
        "<form method=dialog><button>Close</button></form></header><div class=scenes></div></dialog>"
        f'<script type="text/plain" id=niivue>{code}</script>'
    )


def _facts(facts: Mapping[str, str]) -> str:
    rows = "".join(f"<dt>{escape(key)}</dt><dd>{escape(value)}</dd>" for key, value in facts.items() if value)
    return f"<section><h2>How this was made</h2><dl>{rows}</dl></section>"


def _licence(viewer: Viewer) -> str:
    head = f"The 3-D view is NiiVue, from ipyniivue {viewer.version}; its licence"
    return f"<details><summary>{escape(head)}</summary><pre>{escape(viewer.licence)}</pre></details>"


def _failures(failures: Sequence[Mapping[str, str]]) -> str:
    rows = "".join(
        "<tr>" + "".join(f"<td class=text>{escape(row[key])}</td>" for key in ("case", "stage", "error")) + "</tr>"
        for row in failures
    )
    head = "<thead><tr><th class=text>case</th><th class=text>stage</th><th class=text>error</th></tr></thead>"
    table = f"<div class=scroll><table>{head}<tbody>{rows}</tbody></table></div>"
    return f"<section><h2>Failed cases</h2>{table}</section>"
