"""The page in a real browser; without one these tests fail."""

import csv
import io
import itertools
import shutil
from dataclasses import replace

import numpy as np
import pytest
from matplotlib import image as mpl_image
from playwright.sync_api import expect, sync_playwright

from regforest.io import write_volume
from regforest.report import (
    Card,
    PageRoom,
    Table,
    case_picture,
    page,
    picture_svg,
    small_volume,
    write_page,
    write_preview,
)
from regforest.report.charts import rate_chart, spread_chart
from regforest.report.matrix import confusion_chart
from regforest.spatial import LEVELS, Grid, Landmarks, Volume
from tests.report.spines import NAMES, curved_spine, found

_SOFTWARE_WEBGL = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist")


@pytest.fixture(scope="module")
def browser():
    program = shutil.which("chromium")
    if program is None:
        pytest.fail("the pages are tested in Chromium, which is not installed: apt-get install chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", *_SOFTWARE_WEBGL])
        yield chromium
        chromium.close()


def cards(folder):
    """Four cases: one well named, one shifted by a level and uncertain, one with a missed level, one empty."""
    volume, centres = curved_spine()
    write_volume(small_volume(volume, centres.points_lps_mm, 100_000), folder / "small.nii.gz")
    shifted = Landmarks({name: centres[below] for name, below in itertools.pairwise(NAMES)})
    cases = {
        "good": (found(centres), 1.0, "1"),
        "shifted": (found(shifted, status="uncertain", reason="no anchoring level"), 900.0, "2"),
        "gap": (found(centres.select(lambda name: name != "L2")), 100.0, "1"),
        "nothing": (found(Landmarks({}), status="empty", reason="nothing found"), 1000.0, "2"),
    }
    for name, (answer, badness, fold) in cases.items():
        there = answer.landmarks
        errors = {
            level: float(np.linalg.norm(there[level] - centres[level])) + 2 if level in there else None
            for level in ("T12", "L1", "L2")
        }
        yield Card(
            name, [f"a fact about {name}"], answer.status, answer.reason, badness, fold, errors,
            {level: there[level].tolist() for level in there}, {level: centres[level].tolist() for level in centres},
            picture_svg(case_picture(volume, answer, centres), name), (folder / "small.nii.gz").read_bytes(),
        )  # fmt: skip


def write(path, shown):
    table = Table(
        "t", [("run", ["mean", "std"] * 6), ("published", ["mean", "std"] * 6)], [("all", [["1.0"] * 12] * 2)]
    )
    errors = {name: [1.0, 2.0, 5.0] for name in LEVELS}
    counts = {(name, name): 3 for name in LEVELS} | {("L1", "L2"): 1, ("L2", None): 2}
    charts = [
        ("Error", spread_chart(errors, "mm")),
        ("Identified", rate_chart(dict.fromkeys(LEVELS, (2, 3)))),
        ("Confusion", confusion_chart(counts)),
    ]
    facts = {"command": "python -m experiments.glocker_2fold --data " + "very-long-name/" * 30}
    write_page(path, "a run", lead="lead", tables=[("Result", table)], charts=charts, cards=shown, facts=facts)
    return path


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    return write(folder / "report.html", list(cards(folder)))


@pytest.fixture
def opened(browser):
    """Open a file; whatever the page complains about or asks the network for fails the test."""
    contexts, complaints = [], []

    def open_page(path, width=1280, scheme="light"):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        shown = context.new_page()
        shown.on("console", lambda message: complaints.append(message.text))
        shown.on("pageerror", lambda error: complaints.append(str(error)))
        shown.on("request", lambda request: complaints.append(request.url) if leaves(request.url) else None)
        shown.goto(path.as_uri())
        return shown

    def leaves(url):
        return not url.startswith(("file:", "data:", "blob:"))

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def names(shown):
    return shown.locator(".case:visible").evaluate_all("cases => cases.map(item => item.dataset.name)")


def current(shown):
    return shown.locator(".case.current").get_attribute("data-name")


def test_the_worst_cases_come_first_and_all_pictures_are_drawn(opened, report):
    shown = opened(report)
    assert names(shown) == ["nothing", "shifted", "gap", "good"]
    assert shown.locator(".spine image").count() == 8
    assert shown.get_by_role("img", name="shifted").count() == 1


@pytest.mark.parametrize(
    ("field", "value", "left"),
    [
        ("text", "anchoring", ["shifted"]),
        ("text", "FACT ABOUT G", ["gap", "good"]),
        ("status", "empty", ["nothing"]),
        ("fold", "1", ["gap", "good"]),
        ("error", "10", ["nothing", "shifted", "gap"]),
        ("text", "no such case", []),
    ],
)
def test_a_filter_leaves_the_cases_that_fit(opened, report, field, value, left):
    shown = opened(report)
    control = shown.locator(f"[name={field}]")
    control.select_option(value) if field in ("status", "fold") else control.fill(value)
    assert names(shown) == left
    assert f"{len(left)} of 4 cases shown" in shown.locator("output").inner_text()
    assert shown.locator(".nothing").is_visible() == (not left)
    shown.get_by_role("button", name="Reset").click()
    expect(shown.locator(".case:visible")).to_have_count(4)


def test_an_error_threshold_holds_for_the_level_that_is_chosen(opened, report):
    shown = opened(report)
    shown.locator("[name=error]").fill("10")
    shown.locator("[name=level]").select_option("L1")
    assert names(shown) == ["nothing", "shifted"]
    shown.locator("[name=level]").select_option("L2")
    assert names(shown) == ["nothing", "shifted", "gap"]  # missed there


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("best", ["good", "gap", "shifted", "nothing"]),
        ("name", ["gap", "good", "nothing", "shifted"]),
        ("fold", ["gap", "good", "nothing", "shifted"]),
        ("error", ["nothing", "gap", "shifted", "good"]),
    ],
)
def test_cases_can_be_put_in_other_orders(opened, report, order, expected):
    shown = opened(report)
    shown.locator("[name=order]").select_option(order)
    assert names(shown) == expected


def test_arrow_keys_move_between_the_cases_that_are_shown(opened, report):
    shown = opened(report)
    shown.locator("[name=fold]").select_option("1")
    shown.locator("h1").click()
    for key, name in (("ArrowRight", "gap"), ("ArrowRight", "good"), ("ArrowRight", "good"), ("ArrowLeft", "gap")):
        shown.keyboard.press(key)
        assert current(shown) == name
    assert shown.evaluate("document.activeElement.dataset.name") == "gap"


def test_keys_typed_into_a_filter_are_letters(opened, report):
    shown = opened(report)
    shown.keyboard.press("ArrowRight")
    shown.locator("[name=text]").type("pf")
    assert shown.locator(".case[data-mark]").count() == 0
    assert shown.locator("[name=text]").input_value() == "pf"


def test_marks_are_kept_filtered_and_exported(opened, report, tmp_path):
    shown = opened(report)
    shown.keyboard.press("ArrowRight")
    shown.keyboard.press("f")
    shown.keyboard.press("ArrowRight")
    shown.keyboard.press("p")
    shown.locator("#case-good").get_by_role("button", name="Pass").click()
    shown.locator("#case-gap").get_by_role("button", name="Fail").click()
    shown.keyboard.press("u")
    assert "2 pass, 1 fail" in shown.locator("output").inner_text()
    shown.reload()
    assert shown.locator("#case-good button[aria-pressed=true]").text_content() == "Pass"
    shown.locator("[name=mark]").select_option("none")
    assert names(shown) == ["gap"]
    with shown.expect_download() as download:
        shown.get_by_role("button", name="Export marks").click()
    download.value.save_as(tmp_path / "marks.csv")
    with (tmp_path / "marks.csv").open(newline="") as stream:
        rows = {row["case"]: row for row in csv.DictReader(stream)}
    assert {name: row["mark"] for name, row in rows.items()} == {
        "gap": "", "good": "pass", "nothing": "fail", "shifted": "pass",
    }  # fmt: skip
    assert (rows["good"]["largest_error_mm"], rows["gap"]["largest_error_mm"]) == ("2", "missed")


def test_a_mark_pressed_twice_is_taken_back(opened, report):
    shown = opened(report)
    for count in (1, 0):
        shown.locator("#case-good").get_by_role("button", name="Fail").click()
        assert shown.locator(".case[data-mark=fail]").count() == count


def test_chosen_cases_are_drawn_in_three_dimensions(opened, report):
    shown = opened(report)
    assert shown.locator("#open3d").is_disabled()
    boxes = shown.locator(".choose")
    for index in range(3):
        boxes.nth(index).check()
    assert boxes.nth(3).is_disabled()
    boxes.nth(0).uncheck()
    boxes.nth(1).uncheck()
    shown.locator("#open3d").click()
    canvas = shown.locator("canvas[data-ready]")
    canvas.wait_for(timeout=120_000)
    for slices in (False, True):
        shown.locator("#slices").set_checked(slices)
        shown.wait_for_timeout(500)
        pixels = mpl_image.imread(io.BytesIO(canvas.screenshot()))[..., :3].reshape(-1, 3)
        assert len(np.unique(pixels, axis=0)) > 100, "the canvas is all but empty"
    shown.get_by_role("button", name="Close").click()
    shown.wait_for_function("document.querySelectorAll('canvas').length === 0")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_nothing_is_wider_than_the_screen(opened, report, tmp_path, width, scheme):
    write_preview(curved_spine()[0], found(curved_spine()[1]), tmp_path / "scan", "scan")
    for path in (report, tmp_path / "scan.html"):
        shown = opened(path, width, scheme)
        assert shown.evaluate("document.documentElement.scrollWidth") <= width
        paper = shown.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, paper.removeprefix("rgb(").removesuffix(")").split(","))) > 384) == (scheme == "light")


def test_the_page_prints_without_its_controls(opened, report):
    shown = opened(report, scheme="dark")
    shown.emulate_media(media="print")
    assert not shown.locator(".tools").is_visible()
    assert shown.locator(".spine").first.is_visible()
    assert shown.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_controls_have_names(opened, report):
    unnamed = """[...document.querySelectorAll("input, select, button")].filter((control) =>
        !(control.labels?.length || control.textContent.trim() || control.ariaLabel)).length"""
    shown = opened(report)
    assert shown.evaluate(unnamed) == 0
    assert shown.locator("svg.spine:not([aria-label])").count() == 0


def test_without_the_extra_everything_but_the_3d_view_works(opened, tmp_path, monkeypatch):
    monkeypatch.setattr(page, "installed_viewer", lambda: None)
    shown = opened(write(tmp_path / "report.html", list(cards(tmp_path))))
    assert names(shown) == ["nothing", "shifted", "gap", "good"]
    assert shown.locator("#open3d").count() == 0


def test_224_noisy_cases_stay_below_30_mb_and_can_be_filtered(opened, tmp_path):
    room = PageRoom(224)
    noise = np.random.default_rng(0).normal(300, 250, (240, 128, 128)).astype(np.int16)
    volume = Volume(noise, Grid.from_parts(noise.shape, (1.4, 1.4, 2.5)))
    spine = Landmarks({name: (90, 90, 590 - 24 * i) for i, name in enumerate(LEVELS[:24])})
    write_volume(small_volume(volume, spine.points_lps_mm, room.volume), tmp_path / "small.nii.gz")
    points = {name: spine[name].tolist() for name in spine}
    card = Card(
        "case", ["identified 24 of 24"], fold="1", errors_mm=dict.fromkeys(spine, 2.5),
        predicted=points, annotated=points,
        picture=picture_svg(case_picture(volume, found(spine), spine), "case", room.picture),
        volume=(tmp_path / "small.nii.gz").read_bytes(),
    )  # fmt: skip
    path = write(tmp_path / "report.html", [replace(card, name=f"case {i}", badness=i) for i in range(224)])
    assert 10e6 < path.stat().st_size < 30e6
    shown = opened(path)
    shown.locator("[name=text]").fill("case 22")
    assert names(shown) == ["case 223", "case 222", "case 221", "case 220", "case 22"]
