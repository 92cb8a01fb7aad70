"""The original layout of the Annotated Spine CT Database, as others read it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from regforest.datasets.spine_ct_writer import write_spine_ct_case
from regforest.errors import DataError
from regforest.spatial import Grid, Landmarks, Volume

GRID = Grid.from_parts((3, 4, 5), spacing_mm=(0.5, 0.75, 2.5), origin_mm=(-120.5, 33.25, 1000.0))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    voxels = np.arange(60, dtype=np.int16).reshape(3, 4, 5) - 30
    landmarks = Landmarks({"L1": (-119.5, 34.0, 1005.0), "C1": (-120.5, 33.25, 1000.0), "L6": (-119.0, 34.0, 1001.0)})
    return write_spine_ct_case(tmp_path, "patient0007", "9000001", Volume(voxels, GRID), landmarks)


def test_itk_reads_voxels_and_geometry_back(folder: Path) -> None:
    assert folder.parts[-2:] == ("patient0007", "9000001")
    image = sitk.ReadImage(str(folder / "9000001.mhd"))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image).ravel(), np.arange(60) - 30)
    assert image.GetPixelID() == sitk.sitkInt16
    assert image.GetSpacing() == (0.5, 0.75, 2.5)
    assert image.GetOrigin() == (-120.5, 33.25, 1000.0)


def test_itk_reads_a_turned_grid_back(tmp_path: Path) -> None:
    turn = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1.0]])
    grid = Grid.from_parts((2, 2, 2), (1, 2, 3), (5, 6, 7), turn)
    volume = Volume(np.zeros((2, 2, 2), np.int16), grid)
    folder = write_spine_ct_case(tmp_path, "patient0001", "1", volume, Landmarks({}))
    image = sitk.ReadImage(str(folder / "1.mhd"))
    np.testing.assert_allclose(image.TransformContinuousIndexToPhysicalPoint((1, 0, 0)), grid.index_to_lps((1, 0, 0)))


def test_the_annotation_is_in_grid_millimetres_from_the_first_voxel(folder: Path) -> None:
    lines = (folder / "9000001.lml").read_text().splitlines()
    rows = [line.split("\t") for line in lines[1:]]
    assert [row[:2] for row in rows] == [["10", "C1"], ["200", "L1"], ["245", "L6"]]
    np.testing.assert_allclose(np.array([row[2:] for row in rows], float), [(0, 0, 0), (1, 0.75, 5), (1.5, 0.75, 1)])


def test_ids_with_letters_and_sheared_grids_are_refused(tmp_path: Path) -> None:
    volume = Volume(np.zeros((2, 2, 2), np.int16), Grid.from_parts((2, 2, 2)))
    with pytest.raises(DataError, match="digits"):
        write_spine_ct_case(tmp_path, "patient0001", "12a", volume, Landmarks({}))
    sheared = np.eye(4)
    sheared[0, 1] = 0.3
    with pytest.raises(DataError, match="perpendicular"):
        write_spine_ct_case(
            tmp_path, "patient0001", "12", Volume(volume.voxels, Grid((2, 2, 2), sheared)), Landmarks({})
        )
