"""Makes data sets in every layout of the Annotated Spine CT Database, with the quirks of real copies if asked for."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import numpy as np
import openpyxl

from regforest.io import read_volume, write_landmarks, write_volume
from regforest.spatial import Grid, Landmarks, Volume

GRID = Grid.from_parts((40, 30, 30), (2, 2, 4), (-31.5, 17.25, 840))
POINTS = Landmarks({"L1": (30, 30, 130), "L2": (30, 38, 97), "L3": (30, 44, 63)}, frame="grid")
LAYOUTS = ("original", "later copy", "flat")


def body_image(grid: Grid = GRID, points: Landmarks = POINTS) -> Volume:
    """Soft tissue in fat, with bone around each point."""
    voxels = np.full(grid.shape_zyx, 40, np.int16)
    voxels[:, :2] = -100
    for x, y, z in np.rint(points.points / grid.spacing_mm).astype(int):
        voxels[z - 2 : z + 3, y - 4 : y + 5, x - 4 : x + 5] = 180
    return Volume(voxels, grid)


def write_scan(folder: Path, scan: str, suffix: str = ".mhd", points: Landmarks | None = POINTS) -> None:
    write_volume(body_image(), folder / f"{scan}{suffix}")
    if points is not None:
        write_landmarks(points, folder / f"{scan}.lml")


def write_original(root: Path, patient: str, scan: str, **options: object) -> None:
    write_scan(root / patient / scan, scan, **options)


def write_lml(root: Path, *lines: str, scan: str = "111", header: str = "# id name x y z") -> Path:
    """Write one scan of the original layout with the lines of its annotation as they are given."""
    write_original(root, "patient1", scan, points=None)
    path = root / "patient1" / scan / f"{scan}.lml"
    path.write_text("".join(f"{line}\n" for line in (header, *lines)))
    return path


def laid_out(phantom: Path, root: Path, layout: str) -> Path:
    """Write a phantom data set again, in one of the layouts."""
    for number, header in zip(itertools.cycle(range(1, 6)), sorted(phantom.rglob("*.mhd"))):
        patient, scan = header.parent.parent.name, header.stem
        folder = {
            "original": root / patient / scan,
            "later copy": root / f"spine-{number}" / patient / scan,
            "flat": root / "spine-test-data",
        }[layout]
        folder.mkdir(parents=True, exist_ok=True)
        write_volume(read_volume(header), folder / f"{scan}{'.mhd' if layout == 'original' else '.nii.gz'}")
        shutil.copy(header.with_suffix(".lml"), folder)
    return root


def write_sheet(path: Path, *rows: tuple[object, ...]) -> Path:
    """Write an Excel sheet, row by row."""
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save(path)
    return path
