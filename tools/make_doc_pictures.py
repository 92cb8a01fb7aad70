"""Makes the pictures of the documentation, all of phantoms: ``python -m tools.make_doc_pictures``.

Models are trained on the spot, on other phantoms than those in the pictures; a minute or two in all.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray
from PIL import Image

from regforest import BoxFeatures, DiscLocalizer, VertebraLocalizer
from regforest.datasets import open_dataset
from regforest.datasets.phantoms.ct import write_ct_phantom
from regforest.datasets.phantoms.mr import mr_phantom_scan
from regforest.discs import DiscSettings
from regforest.discs.views import Scene
from regforest.report import Masks, case_picture, picture_png
from regforest.report.curved import CurvedCut, outlines, sagittal_cut
from regforest.spatial import AnnotatedScan, Landmarks, Volume, level
from regforest.vertebrae.dense_labels import BACKGROUND, CLASSES, class_of_level, label_distribution
from regforest.vertebrae.sampling import working_image

__all__ = ["PICTURES", "TARGET", "main"]

TARGET = Path(__file__).resolve().parents[1] / "docs" / "pictures"
"""Where the pictures lie."""

_CT_SCANS = 20
_CT_OTHERS, _CT_SHOWN = 14, 12  # one of them shows a lower spine down to the sacrum
_DISC_SETTINGS = DiscSettings(turns_deg=(0.0,), scales=(1.0,), coarse_patches=600, fine_patches=150, passes=1)
_CT_WINDOW = {"cmap": "gray", "vmin": -250, "vmax": 900}


def main() -> None:
    """Make all pictures."""
    TARGET.mkdir(exist_ok=True)
    for name, picture in (_ct_pictures() | _mr_pictures()).items():
        (TARGET / name).write_bytes(_small(picture))


def _ct_pictures() -> dict[str, bytes]:
    with TemporaryDirectory() as folder:
        training, others = Path(folder) / "training", Path(folder) / "others"
        write_ct_phantom(training, _CT_SCANS, seed=0, jobs=2)
        write_ct_phantom(others, _CT_OTHERS, seed=1, jobs=2)
        scans = (case.load() for case in open_dataset(training).cases)
        localizer = VertebraLocalizer(seed=0).fit(scans, n_jobs=2)
        scan = open_dataset(others).cases[_CT_SHOWN].load()
        answer = localizer.localize(scan.image, n_jobs=2)
    image = working_image(scan.image, localizer.settings.spacing_mm)
    points = scan.landmarks.points_lps_mm
    return {
        "ct_labelled.jpg": picture_png(
            case_picture(scan.image, answer, scan.landmarks), f"found (dots), annotated (rings): {answer.status}", 560
        ),
        "soft_labels.jpg": _soft_labels(scan.landmarks),
        "box_features.jpg": _box_features(scan, localizer.levels.boxes),
        "dense_classification.jpg": _dense(scan, image, localizer.classify(image, n_jobs=2)),
        "body_centres.jpg": _body_centres(scan, points),
    }  # fmt: skip


def _mr_pictures() -> dict[str, bytes]:
    training = [mr_phantom_scan(0, patient)[0] for patient in range(1, 4)]
    scan = mr_phantom_scan(0, 0)[0]
    localizer = DiscLocalizer(_DISC_SETTINGS, seed=0).fit(training, n_jobs=2)
    answer, labels = localizer.apply(scan.channels, n_jobs=2)
    return {
        "dixon_channels.jpg": _channels(scan),
        "disc_votes.jpg": _votes(scan, localizer),
        "discs_segmented.jpg": _segmented(scan, answer.landmarks, labels, localizer.label_names),
    }


def _soft_labels(landmarks: Landmarks) -> bytes:
    """Labels of points on the line through all centres."""
    names, points = landmarks.names, landmarks.points_lps_mm
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    at_mm = np.linspace(-25, along[-1] + 25, 600)
    line = np.stack([np.interp(at_mm, along, points[:, axis]) for axis in range(3)], axis=1)
    line[:, 2] += np.minimum(at_mm, 0) * -1 - np.maximum(at_mm - along[-1], 0)
    labels = label_distribution(line, landmarks)

    def draw(axes: Axes) -> None:
        axes.plot(at_mm, labels[:, BACKGROUND], color="0.6", lw=1, label="background")
        for name, place in zip(names, along, strict=True):
            axes.plot(at_mm, labels[:, class_of_level(name)], color=level(name).colour, lw=1.5)
            axes.text(place, 1.03, name, ha="center", fontsize=8)
        axes.set(xlabel="mm along the spine", ylabel="soft label", ylim=(0, 1.12))
        axes.legend(frameon=False, fontsize=8, loc="lower right")

    return _drawn(draw, (7.2, 2.6))


def _box_features(scan: AnnotatedScan, boxes: BoxFeatures) -> bytes:
    """Three features of the pool around one point, projected to the sagittal plane."""
    points = scan.landmarks.points_lps_mm
    cut = sagittal_cut(scan.image, points)
    centre = points[len(points) // 2]
    two = np.flatnonzero(boxes.channels[:, 1] >= 0)[[2, 5, 9]]

    def draw(axes: Axes) -> None:
        _show(axes, cut, scan.image, **_CT_WINDOW)
        axes.plot(centre[1], centre[2], "+", color="white", ms=10)
        for feature, colour in zip(two, ("#ffb000", "#64b5f6", "#f06292"), strict=True):
            for box in range(2):
                offset, size = boxes.offsets_mm[feature, box], boxes.sizes_mm[feature, box]
                corner = (centre[1] + offset[1] - size[1] / 2, centre[2] + offset[2] - size[2] / 2)
                axes.add_patch(Rectangle(corner, size[1], size[2], fc="none", ec=colour, lw=1.6, ls=("-", "--")[box]))
        axes.set(xlim=(centre[1] - 70, centre[1] + 80), ylim=(centre[2] - 80, centre[2] + 80))
        axes.axis("off")

    return _drawn(draw, (3.6, 3.8))


def _dense(scan: AnnotatedScan, image: Volume, probability: NDArray[np.float32]) -> bytes:
    """Draw the most probable vertebra of each voxel, as strong as all vertebrae together are."""
    points = scan.landmarks.points_lps_mm
    cut = sagittal_cut(scan.image, points)
    strongest = probability.max(axis=(1, 2, 3))
    seen = [c for c in np.flatnonzero(strongest > 0.3 * np.delete(strongest, BACKGROUND).max()) if c != BACKGROUND]
    stack = np.stack([cut.grey(Volume(probability[c], image.grid)) for c in seen])
    colours = np.array([level(CLASSES[c]).colour for c in seen])[stack.argmax(axis=0)]
    together = stack.sum(axis=0)
    overlay = np.dstack([colours, np.clip(1.5 * together / together.max(), 0, 0.85)])

    def draw(axes: Axes) -> None:
        _show(axes, cut, scan.image, **_CT_WINDOW)
        axes.imshow(overlay, extent=cut.extent_mm)
        for name, point in scan.landmarks.items():
            _name(axes, name, point[1] + 22, point[2])
        axes.set(xlim=(points[:, 1].min() - 60, points[:, 1].max() + 60), ylim=cut.extent_mm[2:])
        axes.axis("off")

    return _drawn(draw, (3.6, 5.4))


def _body_centres(scan: AnnotatedScan, points: NDArray[np.float64]) -> bytes:
    """Draw what the point of a vertebra is, and where that of a disc would be."""
    cut = sagittal_cut(scan.image, points)
    middle = len(points) // 2
    discs = (points[middle - 1 : middle + 1] + points[middle : middle + 2]) / 2

    def draw(axes: Axes) -> None:
        _show(axes, cut, scan.image, **_CT_WINDOW)
        axes.plot(points[:, 1], points[:, 2], "o", color="#ffb000", mec="black", label="body centre")
        axes.plot(discs[:, 1], discs[:, 2], "s", color="#64b5f6", mec="black", label="disc centre")
        centre = points[middle]
        axes.set(xlim=(centre[1] - 45, centre[1] + 75), ylim=(centre[2] - 55, centre[2] + 55))
        axes.legend(loc="upper left", fontsize=8, framealpha=0.9)
        axes.axis("off")

    return _drawn(draw, (3.9, 3.6))


def _channels(scan: AnnotatedScan) -> bytes:
    """Draw the four Dixon channels through the spine."""
    figure = Figure(figsize=(7.6, 3.4), dpi=100, layout="constrained")
    for axes, (name, volume) in zip(figure.subplots(1, 4), scan.channels.items(), strict=True):
        _show(axes, sagittal_cut(volume, scan.landmarks.points_lps_mm), volume)
        axes.set_title(name, fontsize=9)
        axes.axis("off")
    return _bytes(figure)


def _votes(scan: AnnotatedScan, localizer: DiscLocalizer) -> bytes:
    """Votes of all patches of the coarse pass, seen from the side, and the annotated centres."""
    settings = localizer.settings
    chosen = {name: scan.channels[name] for name in localizer.channels_}
    view = Scene(chosen, settings.coarse_spacing_mm, settings.normalise_mm).coarse
    image, points = scan.channels[localizer.channels_[-1]], scan.landmarks.points_lps_mm
    cut = sagittal_cut(image, points)

    def draw(axes: Axes) -> None:
        _show(axes, cut, image, alpha=0.6)
        for name, votes in zip(localizer.names_, localizer.learned_.coarse.votes(view, settings, 1), strict=True):
            _, y, z = view.to_lps(votes.votes_mm).T
            strength = np.clip(votes.weights / votes.weights.max(initial=1e-9), 0, 1) * 0.5
            axes.scatter(y, z, s=3, color=level(name).colour, alpha=strength)
            _name(axes, name, scan.landmarks[name][1] + 30, scan.landmarks[name][2])
        axes.plot(points[:, 1], points[:, 2], "+", color="white", ms=9)
        axes.set(xlim=cut.extent_mm[:2], ylim=cut.extent_mm[2:], facecolor="black")
        axes.set(xticks=[], yticks=[])

    return _drawn(draw, (4.4, 5.4))


def _segmented(scan: AnnotatedScan, found: Landmarks, labels: Volume, names: Mapping[int, str]) -> bytes:
    """Outlines of the segmentation, in the colours of the levels."""
    points = found.points_lps_mm
    image = next(iter(scan.channels.values()))
    cut = sagittal_cut(image, points)

    def draw(axes: Axes) -> None:
        _show(axes, cut, image)
        for name, line in outlines(cut, Masks(labels, names)):
            axes.plot(*line.T, color=level(name).colour, lw=1.8)
        for name, point in found.items():
            _name(axes, name, point[1] + 26, point[2])
        axes.axis("off")

    return _drawn(draw, (4.4, 5.4))


def _show(axes: Axes, cut: CurvedCut, volume: Volume, **options: Any) -> None:
    axes.imshow(cut.grey(volume), extent=cut.extent_mm, **{"cmap": "gray"} | options)


def _name(axes: Axes, name: str, across_mm: float, height_mm: float) -> None:
    """Write the name of a level so that it can be read on bone."""
    edge = [withStroke(linewidth=2, foreground="black")]
    axes.text(across_mm, height_mm, name, color="white", fontsize=8, va="center", path_effects=edge, clip_on=True)


def _drawn(draw: Callable[[Axes], None], size_inch: tuple[float, float]) -> bytes:
    figure = Figure(figsize=size_inch, dpi=100, layout="constrained")
    draw(figure.subplots())
    return _bytes(figure)


def _bytes(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_figure(buffer, format="png", bbox_inches="tight", pad_inches=0.04)
    return buffer.getvalue()


def _small(picture: bytes) -> bytes:
    buffer = io.BytesIO()
    Image.open(io.BytesIO(picture)).convert("RGB").save(buffer, "jpeg", quality=88, optimize=True)
    return buffer.getvalue()


PICTURES = (
    "body_centres.jpg",
    "box_features.jpg",
    "ct_labelled.jpg",
    "dense_classification.jpg",
    "disc_votes.jpg",
    "discs_segmented.jpg",
    "dixon_channels.jpg",
    "soft_labels.jpg",
)
"""All that `main` writes."""


if __name__ == "__main__":
    main()
