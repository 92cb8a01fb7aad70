import re
from html.parser import HTMLParser

import pytest

from regforest.report import Card, Table, write_page
from regforest.report.charts import histogram_chart, rate_chart, spread_chart
from regforest.report.tables import number, percent


@pytest.fixture
def page(tmp_path):
    path = tmp_path / "report.html"
    table = Table("t", [("run <1>", ["mean", "std"])], [("all", [["1.0", "-"]])], ["* remembered"])
    write_page(
        path, "glocker_2fold: <b>phantoms</b>", lead="lead", tables=[("Result", table)],
        charts=[("Error", spread_chart({"L1": [1.0, 2.0], "T12": []}, "mm"))],
        cards=[Card("worst", ["identified 0 of 5"], "uncertain", "<no> anchor", b"\xff\xd8\xff"), Card("best", [])],
        failures=[{"case": "bad", "stage": "load", "error": "a & b"}],
        facts={"terms": "non-commercial", "citation": "https://example.org/paper", "empty": ""},
    )  # fmt: skip
    return path.read_text()


def test_the_page_asks_nothing_of_the_network(page):
    # a citation may be a link in words; what a browser would fetch are attributes and style sheets
    fetched = re.findall(r"""(?:src|href|action|data|srcset)\s*=\s*["']?([^"'>\s]+)|url\(([^)]*)\)|@import""", page)
    assert [link for link, _ in fetched] == ["data:image/jpeg;base64,/9j/"]
    assert "<script" not in page
    assert "<link" not in page


def test_tags_of_the_page_are_balanced(page):
    class Balance(HTMLParser):
        def __init__(self):
            super().__init__()
            self.open_tags = []

        def handle_starttag(self, tag, attrs):
            if tag not in ("meta", "img", "line", "rect", "br"):
                self.open_tags.append(tag)

        def handle_endtag(self, tag):
            if tag not in ("line", "rect"):
                assert self.open_tags.pop() == tag

    parser = Balance()
    parser.feed(page)
    assert parser.open_tags == []


def test_text_from_outside_is_escaped(page):
    for text in ("&lt;b&gt;phantoms&lt;/b&gt;", "run &lt;1&gt;", "&lt;no&gt; anchor", "a &amp; b"):
        assert text in page
    assert "<b>" not in page


def test_cards_come_in_the_given_order_with_terms_and_failures(page):
    assert page.index('id="case-worst"') < page.index('id="case-best"')
    assert "non-commercial" in page
    assert "https://example.org/paper" in page
    assert "<dt>empty</dt>" not in page
    assert "Failed cases" in page


def test_colours_follow_the_reader_s_dark_or_light_setting(page):
    assert "prefers-color-scheme: dark" in page
    assert "color-scheme: light dark" in page


def test_columns_of_the_screen_table_are_aligned():
    groups = [("run", ["mean", "id. rate"]), ("a long published name", ["mean"])]
    table = Table("title", groups, [("all", [["10.25", "9 %"], ["1"]]), ("cervical", [["-", "100.0 %"], ["22.5"]])])
    lines = table.to_text().splitlines()[2:]
    assert len({tuple(i for i, c in enumerate(line) if c in "|+") for line in lines}) == 1
    assert lines[-1].startswith("cervical ")


def test_undefined_numbers_are_dashes():
    assert (number(None), number(1.26), percent(None), percent(0.7)) == ("-", "1.3", "-", "70.0 %")


def test_a_chart_shows_levels_in_anatomical_order_with_medians():
    svg = spread_chart({"L1": [1.0, 2.0, 3.0], "C7": [5.0], "T13": []}, "mm")
    assert re.findall(r'text-anchor="middle">([^<]+)<', svg) == ["C7", "T13", "L1"]
    assert "L1: median 2.0 mm, n = 3" in svg
    assert svg.count("class=box") == 2


def test_a_rate_is_drawn_in_proportion():
    svg = rate_chart({"L1": (1, 2), "L2": (2, 2), "L3": (0, 0)})
    heights = [float(h) for h in re.findall(r'class=bar[^>]*height="([\d.]+)"', svg)]
    assert heights[0] == pytest.approx(heights[1] / 2, abs=0.1)
    assert heights[2] == 0


def test_a_histogram_is_drawn_in_per_cent_with_an_open_last_bin():
    svg = histogram_chart([0.0, 2.0, 4.0], [6, 2], 2)
    heights = [float(h) for h in re.findall(r'class=bar[^>]*height="([\d.]+)"', svg)]
    assert heights[0] == pytest.approx(3 * heights[1], abs=0.2)
    assert re.findall(r'text-anchor="middle">([^<]+)<', svg) == ["0", "2", "4+"]
    assert "from 2 mm: 2 of 10" in svg
    assert "from 4 mm: 2 of 10" in svg
    assert histogram_chart([0.0, 2.0], [0], 0).count("class=bar") == 2
