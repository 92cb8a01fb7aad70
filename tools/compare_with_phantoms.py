"""How near the CT phantoms come to real scans: HU around the vertebrae, and the box features of the built-in model.

``python -m tools.compare_with_phantoms DIR`` reads annotated CT scans (any layout with landmarks), makes phantoms,
and compares both at the levels that the real scans show. It prints quantiles of HU at places of the spine, and for
each box feature of the model the Kolmogorov-Smirnov distance between one real patient and the phantoms, beside that
between one phantom patient and the others: what persons differ by.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import ks_2samp

from regforest.datasets import open_dataset
from regforest.datasets.phantoms.ct import embedded_ct
from regforest.models import model_file
from regforest.spatial import AnnotatedScan, Volume
from regforest.vertebrae.box_forest import BoxForest
from regforest.vertebrae.localizer import VertebraLocalizer
from regforest.vertebrae.sampling import nearest_voxels, working_image

Floats = NDArray[np.float64]
_QUANTILES = (5, 25, 50, 75, 95)
_PHANTOMS = 24
_SAMPLES = 300  # of each place of a scan
_SHOWN = 5  # features that differ most


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DIR", help="annotated CT scans")
    real = [case.load() for case in open_dataset(parser.parse_args().data).cases]
    phantoms = [case.load() for case in open_dataset(embedded_ct()).cases[:_PHANTOMS]]
    shown = {name for scan in real for name in scan.landmarks}
    print(f"levels {' '.join(sorted(shown))}; {len(real)} real scans, {len(phantoms)} phantoms\n")
    _print_places(real, phantoms, shown)
    localizer = VertebraLocalizer.load(model_file("ct-phantom"))
    for name, forest in (("levels", localizer.levels), ("bodies", localizer.bodies)):
        if forest is not None:
            _print_features(name, forest, real, phantoms, shown)


def places(scan: AnnotatedScan, shown: set[str]) -> Iterator[tuple[str, Floats]]:
    """Name places of the spine with points (N, 3) LPS mm in the image: what a scan is asked about."""
    spine = scan.landmarks.select(lambda name: name in shown)
    rng = np.random.default_rng(0)
    points = spine.points_lps_mm
    between = (points[1:] + points[:-1])[np.linalg.norm(np.diff(points, axis=0), axis=1) < 45] / 2
    for name, centres, radius_mm, shift_mm in (
        ("body, 6 mm around its centre", points, 6, (0, 0, 0)),
        ("between two bodies, 3 mm around", between, 3, (0, 0, 0)),
        ("arch, 10 mm around 35 mm behind", points, 10, (0, 35, 0)),
        ("muscle, 8 mm around 30 mm beside and behind", points, 8, (30, 30, 0)),
        ("in front, 15 mm around 40 mm before", points, 15, (0, -40, 0)),
    ):
        if len(centres):
            chosen = centres[rng.integers(len(centres), size=_SAMPLES)] + shift_mm
            yield name, chosen + radius_mm * _in_ball(rng, _SAMPLES)


def _in_ball(rng: np.random.Generator, count: int) -> Floats:
    direction = rng.normal(size=(count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    return np.asarray(direction * np.cbrt(rng.random((count, 1))))


def _print_places(real: Iterable[AnnotatedScan], phantoms: Iterable[AnnotatedScan], shown: set[str]) -> None:
    print(f"{'HU: quantiles ' + ', '.join(map(str, _QUANTILES)):<46}{'real':>34}{'phantom':>34}")
    tables = [_hu_at_places(scans, shown) for scans in (real, phantoms)]
    for place in tables[0]:
        cells = (" ".join(f"{v:6.0f}" for v in np.percentile(table[place], _QUANTILES)) for table in tables)
        print(f"{place:<46}" + "".join(f"{cell:>34}" for cell in cells))


def _hu_at_places(scans: Iterable[AnnotatedScan], shown: set[str]) -> dict[str, Floats]:
    found: dict[str, list[Floats]] = {}
    for scan in scans:
        for place, points in places(scan, shown):
            found.setdefault(place, []).append(_hu(scan.image, points))
    return {place: np.concatenate(values) for place, values in found.items()}


def _hu(image: Volume, points_lps_mm: Floats) -> Floats:
    x, y, z = nearest_voxels(points_lps_mm, image.grid).T
    return np.asarray(image.voxels[z, y, x], dtype=np.float64)


def _print_features(
    name: str, forest: BoxForest, real: list[AnnotatedScan], phantoms: list[AnnotatedScan], shown: set[str]
) -> None:
    ours, theirs = (_features_by_scan(forest, scans, shown) for scans in (real, phantoms))
    to_real = np.mean([_distances(rows, _without(theirs, "")) for rows in ours.values()], axis=0)
    usual = np.mean([_distances(rows, _without(theirs, patient)) for patient, rows in theirs.items()], axis=0)
    print(f"\nforest of the {name}, {len(to_real)} box features at the centres: distance of the distributions")
    for label, values in (
        ("one real patient to the phantoms", to_real),
        ("one phantom patient to the others", usual),
    ):
        print(f"  {label:<36} median {np.median(values):.2f}, 90th percentile {np.percentile(values, 90):.2f}")
    for k in np.argsort(usual - to_real)[:_SHOWN]:
        offset, size = forest.boxes.offsets_mm[k, 0], forest.boxes.sizes_mm[k, 0]
        print(f"  {to_real[k]:.2f} (phantoms {usual[k]:.2f}): box {np.round(size)} mm at {np.round(offset)} mm")


def _without(rows: dict[str, Floats], patient: str) -> Floats:
    return np.concatenate([other for key, other in rows.items() if key != patient])


def _features_by_scan(forest: BoxForest, scans: Iterable[AnnotatedScan], shown: set[str]) -> dict[str, Floats]:
    found: dict[str, list[Floats]] = {}
    for scan in scans:
        image = working_image(scan.image, 3.0)
        points = next((p for _, p in places(scan, shown)), np.empty((0, 3)))
        index_zyx = nearest_voxels(points, image.grid)[:, ::-1]
        rows = forest.boxes.evaluate([image.voxels], image.grid.spacing_mm, index_zyx)
        found.setdefault(scan.patient, []).append(rows)
    return {patient: np.concatenate(rows) for patient, rows in found.items()}


def _distances(one: Floats, other: Floats) -> Floats:
    return np.array([ks_2samp(a, b, method="asymp").statistic for a, b in zip(one.T, other.T, strict=True)])


if __name__ == "__main__":
    main()
