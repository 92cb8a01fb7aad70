import io
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib import image as mpl_image

from regforest.report import Masks, case_picture, picture_png, picture_svg
from regforest.report.svg import colour
from regforest.spatial import Grid, Landmarks, Volume
from tests.report.spines import NAMES, curved_spine, found

SVG = "{http://www.w3.org/2000/svg}"


def drawn(volume, predicted, annotated=None, **more):
    return ElementTree.fromstring(picture_svg(case_picture(volume, predicted, annotated, **more), "a <spine>"))


def words(element):
    return [text.text for text in element.iter(f"{SVG}text")]


def group(element, kind):
    return [g for g in element.iter(f"{SVG}g") if g.get("class") == kind]


def test_both_views_name_predicted_and_annotated_levels():
    volume, centres = curved_spine()
    called = Landmarks({"T11": centres["T12"], "L5": centres["L5"]})
    picture = drawn(volume, found(called), centres)
    assert picture.get("aria-label") == "a <spine>"
    assert [words(g) for g in group(picture, "predicted")] == [["T11", "L5"]] * 2
    assert [words(g) for g in group(picture, "annotated")] == [list(NAMES)] * 2


def test_a_mark_lies_on_the_bright_voxels_of_its_level():
    volume, centres = curved_spine()
    picture = case_picture(volume, found(centres))
    images = ElementTree.fromstring(picture_svg(picture, "")).iter(f"{SVG}svg")
    for view, shown in zip(picture.views, [image for image in images if image.get("x")], strict=True):
        rows, columns = view.grey.shape
        for dot in group(shown, "predicted")[0].iter(f"{SVG}circle"):
            column = float(dot.get("cx")) / float(shown.get("width")) * columns
            row = float(dot.get("cy")) / float(shown.get("height")) * rows
            assert view.grey[int(row), int(column)] > 200


def test_a_doubtful_name_is_hollow_and_shows_its_probability():
    volume, centres = curved_spine()
    picture = drawn(volume, found(centres, probabilities=dict.fromkeys(NAMES, 0.97) | {"L3": 0.41}))
    sagittal, _ = group(picture, "predicted")
    assert [word for word in words(sagittal) if "%" in word] == ["L3 41 %"]
    fills = {circle.get("stroke"): circle.get("fill") for circle in sagittal.iter(f"{SVG}circle")}
    assert fills[colour("L3")] == "none"


def test_names_of_levels_at_the_border_are_seen_as_a_whole():
    volume, _ = curved_spine()
    corners = volume.grid.corners_lps_mm()
    picture = drawn(volume, found(Landmarks({"T11": corners[1], "L5": corners[-2]}), probabilities={"L5": 0.5}))
    *_, width, _ = map(float, picture.get("viewBox").split())
    for view in picture.iter(f"{SVG}svg"):
        left = float(view.get("x") or 0)
        for word in view.findall(f".//{SVG}text"):
            assert 9 < float(word.get("y")) < float(view.get("height"))
            assert left + float(word.get("x")) + 6 * len(word.text) * (word.get("text-anchor") == "start") < width


def test_outlines_of_segmentations_are_drawn_and_names_stand_beside_them():
    volume, _ = curved_spine()
    labels = np.zeros(volume.voxels.shape, np.uint8)
    labels[25:35, 10:45, 10:45] = 7
    masks = Masks(Volume(labels, volume.grid), {7: "L1/L2"})
    centre = found(Landmarks({"L1/L2": (0, 0, 0)}))
    sagittal, _ = group(drawn(volume, centre, predicted_masks=masks), "predicted")
    (outline,) = sagittal.iter(f"{SVG}path")
    right = max(float(x) for x, _ in re.findall(r"([\d.]+) ([\d.]+)", outline.get("d")))
    assert outline.get("stroke") == colour("L1/L2")
    assert float(next(sagittal.iter(f"{SVG}text")).get("x")) > right
    dashed, _ = group(drawn(volume, found(Landmarks({})), annotated_masks=masks), "annotated")
    assert next(dashed.iter(f"{SVG}path")).get("stroke-dasharray")


def test_pixels_are_lowered_in_quality_until_they_fit():
    noise = np.random.default_rng(0).integers(0, 1000, (60, 80, 80)).astype(np.int16)
    picture = case_picture(Volume(noise, Grid.from_parts((60, 80, 80), (2, 2, 3))), found(Landmarks({})))
    large, small = (len(picture_svg(picture, "", room)) for room in (10**6, 8000))
    assert small < 0.7 * large


def test_an_svg_can_stand_by_itself_and_asks_nothing_of_the_network():
    volume, centres = curved_spine()
    svg = picture_svg(case_picture(volume, found(centres)), "")
    assert svg.startswith('<svg xmlns="http://www.w3.org/2000/svg"')
    assert set(re.findall(r'href="([^;]+);', svg)) == {"data:image/webp"}


def pixels_of(data):
    return mpl_image.imread(io.BytesIO(data))[..., :3]


def test_a_png_shows_levels_in_their_colours():
    volume, centres = curved_spine()
    shown = pixels_of(picture_png(case_picture(volume, found(centres), centres), "ok"))
    plain = pixels_of(picture_png(case_picture(volume, found(Landmarks({})))))
    assert (np.ptp(shown, axis=-1) > 0.3).sum() > 200
    assert np.ptp(plain, axis=-1).max() < 0.01
    wanted = np.array([int(colour("L1")[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    assert (np.abs(shown - wanted).max(axis=-1) < 0.02).any()


@pytest.mark.parametrize("shape", [(3, 4, 5), (1, 1, 1), (1, 30, 30)])
def test_a_volume_of_one_value_and_any_size_can_be_drawn(shape):
    volume = Volume(np.full(shape, 7, np.int16), Grid.from_parts(shape))
    picture = case_picture(volume, found(Landmarks({}), status="empty"))
    assert picture_svg(picture, "").endswith("</svg>")
    assert picture_png(picture)[:4] == b"\x89PNG"
