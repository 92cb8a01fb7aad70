"""The documentation builds without a warning, and its pages ask nothing of a network."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tools.make_doc_pictures import PICTURES, TARGET

ROOT = Path(__file__).parents[2]
_LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}
_NOT_FETCHED = {"canonical", "prev", "next"}  # what a <link> with these relations names is not loaded


class Loads(HTMLParser):
    """Collects what a page makes the browser fetch."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag in _LOADED and given.get("rel") not in _NOT_FETCHED:
            self.found.append(given.get(_LOADED[tag]) or "")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", folder],
        cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


def test_no_page_loads_anything_from_elsewhere(site):
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 15
    for page in pages:
        parser = Loads()
        parser.feed(page.read_text(encoding="utf-8"))
        assert not [url for url in parser.found if re.match(r"(https?:)?//", url)], page
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\([\"']?(https?:)?//", sheet.read_text(encoding="utf-8")), sheet


def test_the_reference_holds_signatures_and_docstrings(site):
    page = (site / "reference" / "vertebrae.html").read_text(encoding="utf-8")
    assert "Find and name the vertebrae in a CT scan" in page
    assert "shift_probability" in page


def test_pictures_are_small_and_each_stands_on_a_page():
    pages = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs").rglob("*.md"))
    assert sorted(path.name for path in TARGET.iterdir()) == list(PICTURES)
    for name in PICTURES:
        assert (TARGET / name).stat().st_size < 200_000
        assert f"pictures/{name}" in pages
