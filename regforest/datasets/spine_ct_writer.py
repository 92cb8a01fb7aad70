"""Write scans in the original layout of the Annotated Spine CT Database: mhd header, raw voxels, LML annotation.

The layout is ``patientNNNN/<id>/<id>.{mhd,raw,lml}``. LML coordinates are grid millimetres (voxel index x spacing
from the first voxel), whatever origin the header gives.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from regforest.errors import DataError
from regforest.io import LML_IDS
from regforest.spatial import Grid, Landmarks, Volume
from regforest.spatial.annotated import is_file_name

__all__ = ["write_spine_ct_case"]


def write_spine_ct_case(root: Path, patient: str, scan_id: str, volume: Volume, landmarks: Landmarks) -> Path:
    """Write one scan; returns its folder.

    Parameters
    ----------
    root : Path
        Folder of the data set.
    patient : str
        Name of the patient's folder, ``"patient0007"``.
    scan_id : str
        The scan's number, digits only.
    volume : Volume
        HU that fit int16, on an orthogonal grid.
    landmarks : Landmarks
        Vertebral body centres, LPS millimetres.

    Raises
    ------
    DataError
        If the id has other characters than digits, or the grid is sheared.
    """
    if not scan_id.isdigit():
        raise DataError(f"scan id {scan_id!r}: expected digits only, as in the Annotated Spine CT Database")
    if not is_file_name(patient):
        raise DataError(f"patient {patient!r}: expected a name that a folder can have")
    if not volume.grid.is_orthogonal:
        raise DataError(f"scan {scan_id}: the mhd format needs perpendicular axes; resample the volume first")
    folder = root / patient / scan_id
    folder.mkdir(parents=True, exist_ok=True)
    volume.voxels.astype("<i2").tofile(folder / f"{scan_id}.raw")
    (folder / f"{scan_id}.mhd").write_text(_header(volume.grid, f"{scan_id}.raw"), encoding="ascii")
    (folder / f"{scan_id}.lml").write_text(_annotation(landmarks.to_grid(volume.grid)), encoding="ascii")
    return folder


def _header(grid: Grid, raw_name: str) -> str:
    def numbers(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> str:
        return " ".join(f"{value:.9g}" for value in np.ravel(values))

    fields = {
        "ObjectType": "Image",
        "NDims": "3",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "CompressedData": "False",
        "TransformMatrix": numbers(grid.direction.T),  # one row for each axis of the grid
        "Offset": numbers(grid.origin_mm),
        "CenterOfRotation": "0 0 0",
        "ElementSpacing": numbers(grid.spacing_mm),
        "DimSize": " ".join(str(n) for n in grid.size_xyz),
        "ElementType": "MET_SHORT",
        "ElementDataFile": raw_name,  # must stand last
    }
    return "".join(f"{key} = {value}\n" for key, value in fields.items())


def _annotation(landmarks: Landmarks) -> str:
    lines = ["# LML: id, name, x, y, z in mm from the first voxel"]
    for name in landmarks:
        x, y, z = landmarks[name]
        lines.append(f"{LML_IDS[name]}\t{name}\t{x:.4f}\t{y:.4f}\t{z:.4f}")
    return "\n".join(lines) + "\n"
