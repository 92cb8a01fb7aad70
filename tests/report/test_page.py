import json
import re
from html import unescape
from html.parser import HTMLParser

import pytest

from regforest.errors import FileError
from regforest.report import Card, PageRoom, Table, page, write_page
from regforest.report.charts import histogram_chart, rate_chart, spread_chart
from regforest.report.tables import number, percent

VOID = ("meta", "img", "line", "rect", "br", "input", "path", "circle", "image")
CARDS = [
    Card("best", ["identified 5 of 5"], badness=1.0, fold="1", errors_mm={"L1": 1.0}),
    Card(
        "worst", ["identified 0 of 5"], "uncertain", "<no> anchor", 1000.0, "2", {"L1": None, "T12": 30.126},
        {"L2": (1, 2, 3)}, {"L1": (1, 2, 3)}, '<svg class="spine"></svg>', b"volume",
    ),
]  # fmt: skip


def written(path, **changes):
    table = Table("t", [("run <1>", ["mean", "std"])], [("all", [["1.0", "-"]])], ["* remembered"])
    content = {
        "lead": "lead", "tables": [("Result", table)],
        "charts": [("Error", spread_chart({"L1": [1.0, 2.0], "T12": []}, "mm"))], "cards": CARDS,
        "failures": [{"case": "bad", "stage": "load", "error": "a & b"}],
        "facts": {"seed": "0", "empty": ""}, "notices": ["non-commercial, https://example.org/paper"],
    }  # fmt: skip
    write_page(path, "glocker_2fold: <b>phantoms</b>", **{**content, **changes})
    return path.read_text()


@pytest.fixture
def report(tmp_path):
    return written(tmp_path / "report.html")


def test_the_page_asks_nothing_of_the_network(report):
    # a citation may be a link in words; what a browser would fetch are attributes and style sheets
    markup = re.sub(r"<script.*?</script>", "", report, flags=re.DOTALL)
    assert not re.findall(r"""(?:src|href|action|srcset)\s*=|url\(|@import|<link""", markup)
    assert "<script src" not in report
    assert "default-src 'none'" in report


def test_tags_of_the_page_are_balanced(report):
    class Balance(HTMLParser):
        def __init__(self):
            super().__init__()
            self.open_tags = []

        def handle_starttag(self, tag, attrs):
            if tag not in VOID:
                self.open_tags.append(tag)

        def handle_endtag(self, tag):
            if tag not in VOID:
                assert self.open_tags.pop() == tag

    parser = Balance()
    parser.feed(report)
    assert parser.open_tags == []


def test_text_from_outside_is_escaped(report):
    for text in ("&lt;b&gt;phantoms&lt;/b&gt;", "run &lt;1&gt;", "&lt;no&gt; anchor", "a &amp; b"):
        assert text in report
    assert "<b>" not in report


def test_the_worst_case_comes_first_with_what_the_filters_need(report):
    worst, best = re.findall(r"<article[^>]*>", report)
    assert 'id="case-worst"' in worst
    assert 'data-status="uncertain" data-fold="2"' in worst
    assert json.loads(unescape(re.search('data-errors="([^"]*)"', worst)[1])) == {"L1": None, "T12": 30.13}
    assert 'data-fold="1"' in best
    assert re.findall(r'<option value="([^"]+)">', report)[:2] == ["T12", "L1"]


def test_terms_failures_and_facts_are_shown(report):
    assert "non-commercial, https://example.org/paper" in report
    assert "Failed cases" in report
    assert "<dt>seed</dt>" in report
    assert "<dt>empty</dt>" not in report


def test_the_viewer_comes_with_its_licence_and_only_where_there_are_volumes(tmp_path, report):
    assert "Redistribution and use in source and binary forms" in report
    assert '<script type="text/plain" id=niivue>' in report
    without = written(tmp_path / "without.html", cards=CARDS[:1])
    for trace in ("id=niivue", "3-D", "Redistribution"):
        assert trace not in without.split("<main>")[1]
    assert "Written without pictures" in without


def test_without_the_extra_the_pictures_stand_alone_and_the_page_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(page, "installed_viewer", lambda: None)
    text = written(tmp_path / "plain.html")
    assert "pip install &quot;regforest[view]&quot;" in text
    assert '<svg class="spine">' in text
    for trace in ("id=niivue", "class=volume", "id=open3d"):
        assert trace not in text


def test_a_page_without_cases_has_no_case_list(tmp_path):
    text = written(tmp_path / "none.html", cards=[], charts=[])
    assert "<script" not in text
    assert "<article" not in text


def test_marks_belong_to_one_result(tmp_path):
    def run(name, **changes):
        return re.search('data-run="([^"]+)"', written(tmp_path / name, **changes))[1]

    assert run("a") == run("b")
    assert run("a") != run("c", cards=CARDS[1:])


def test_the_room_of_a_case_shrinks_with_their_number():
    assert PageRoom(10).volume == 400_000
    for cases in (100, 224, 1000):
        room = PageRoom(cases)
        assert cases * (room.picture + room.volume) * 4 / 3 < 26_000_000


def test_a_place_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(FileError, match="file"):
        written(tmp_path / "file" / "report.html")


def test_colours_follow_the_reader_s_dark_or_light_setting(report):
    assert "prefers-color-scheme: dark" in report
    assert "color-scheme: light dark" in report


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
