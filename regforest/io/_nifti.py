"""NIfTI through nibabel: any invertible matrix. The only place where RAS turns into LPS."""

from __future__ import annotations

import errno
import json
import logging
import math
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from isal import igzip
from isal.isal_zlib import IsalError
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from regforest.errors import DataError, FileError
from regforest.io._atomic import staged
from regforest.io._voxel_files import require_capacity
from regforest.spatial import Grid, Volume

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_MM_PER_UNIT = {"meter": 1000.0, "micron": 0.001}
_PLACE_FIELDS = (
    "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z",
    "srow_x", "srow_y", "srow_z", "xyzt_units",
)  # fmt: skip
# what nibabel raises on a damaged file, and zlib (its headers) and ISA-L (voxels); KeyError for codes that the
# standard does not know
_DAMAGE = (
    MemoryError, OSError, EOFError, ValueError, KeyError, OverflowError, zlib.error, IsalError, HeaderDataError,
    ImageFileError,
)  # fmt: skip
_LABELS_KEY = "labels"
_CHUNK_BYTES = 2**20
_ADVICE = "copy it again from its source, or correct its suffix: .gz if and only if it is compressed"
_SAME_PLACE_MM = 1.0
_log = logging.getLogger(__name__)


def read_nifti(path: Path) -> Volume:
    """Read voxels and grid; integers stay as stored where no scaling applies, all else becomes float32."""
    image = _open(path)
    grid = _grid(path, image)
    _check_size(path, image)
    with _reading(path):
        voxels = _unzipped(path, type(image)) if _is_zipped(path) else _voxels(image.dataobj)
    voxels = voxels.reshape(grid.size_xyz).T
    return Volume(np.ascontiguousarray(voxels, dtype=voxels.dtype.newbyteorder("=")), grid)


def read_nifti_grid(path: Path) -> Grid:
    """Read the grid alone, from the header."""
    return _grid(path, _open(path))


def read_nifti_label_names(path: Path) -> dict[int, str]:
    """Names of label values that `write_nifti_labels` left in the header; empty where there are none."""
    for extension in _open(path).header.extensions:
        try:
            names = json.loads(extension.get_content())[_LABELS_KEY]
            return {int(value): str(name) for value, name in names.items()}
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            continue  # somebody else's extension
    return {}


def write_nifti(volume: Volume, path: Path) -> None:
    """Write sform and, where the axes are perpendicular, qform; millimetres."""
    _save(_image(volume), path)


def write_nifti_labels(labels: Volume, names: Mapping[int, str], path: Path, like: Path | None) -> None:
    """Write labels with their names in a header extension and, with `like`, that file's own matrices and codes."""
    image = _image(labels)
    if like is not None:
        source = _open(like).header
        for key in _PLACE_FIELDS:
            image.header[key] = source[key]
        image.header["pixdim"][:4] = source["pixdim"][:4]
        image = nibabel.Nifti1Image(image.dataobj, image.header.get_best_affine(), image.header)
    text = json.dumps({_LABELS_KEY: {str(value): name for value, name in sorted(names.items())}})
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", text.encode()))
    _save(image, path)


def _open(path: Path) -> Any:
    with _reading(path):
        image = nibabel.load(path, mmap="c")  # uncompressed voxels are mapped; the file stays as it is
    if not isinstance(image, nibabel.Nifti1Pair):
        raise FileError(path, "a NIfTI image", type(image).__name__, "convert it to NIfTI")
    return image


def _voxels(proxy: Any) -> NDArray[Any]:
    if (proxy.slope, proxy.inter) == (1.0, 0.0) and np.issubdtype(proxy.dtype, np.integer):
        return np.asarray(proxy.get_unscaled())
    with np.errstate(over="ignore"):  # beyond float32: reported as infinite by the caller
        return np.asarray(proxy, dtype=np.float32)


def _unzipped(path: Path, kind: Any) -> NDArray[Any]:
    """Read on to the checksum at the end of the file: nibabel alone would stop before it, at the last voxel."""
    with igzip.open(path) as stream:  # three times as fast as zlib
        voxels = _voxels(kind.from_stream(stream).dataobj)
        while stream.read(_CHUNK_BYTES):
            pass
    return voxels


def _is_zipped(path: Path) -> bool:
    return path.suffix.lower() == ".gz"


def _check_size(path: Path, image: Any) -> None:
    """Compare the file with its header before any memory is taken."""
    needed = math.prod(image.shape) * image.get_data_dtype().itemsize
    present = path.stat().st_size - (0 if _is_zipped(path) else int(image.dataobj.offset))
    require_capacity(path, needed, present, _is_zipped(path))


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
            advice = "check the header"
            raise FileError(path, "an image that fits into memory", "sizes that do not", advice) from error
        found = f"a damaged, truncated or different file ({' '.join(str(error).split())})"
        raise FileError(path, "a readable NIfTI image", found, _ADVICE) from error


def _grid(path: Path, image: Any) -> Grid:
    kind = image.get_data_dtype()
    if kind.fields is not None or kind.kind not in "iuf":
        raise FileError(path, "one grey value per voxel", f"values of type {kind}", "convert it to a grey image")
    shape = image.shape
    if min(shape, default=0) < 1:
        raise FileError(path, "at least one voxel along each axis", f"the shape {shape}", "repair its header")
    if len(shape) < 2 or any(n != 1 for n in shape[3:]):
        raise FileError(path, "one 3-D image", f"an image of shape {shape} (x, y, z, ...)", "extract one volume")
    size_xyz = (*shape[:3], 1)[:3]
    header = image.header
    with _reading(path), np.errstate(invalid="ignore", over="ignore"):
        unit = header.get_xyzt_units()[0]
        qform = header.get_qform(coded=True)[0]
        candidates = {"sform": header.get_sform(coded=True)[0], "qform": qform, "voxel sizes": _sizes_alone(header)}
    scale = RAS_TO_LPS @ np.diag([_MM_PER_UNIT.get(unit, 1.0)] * 3 + [1.0])
    grids: dict[str, Grid] = {}
    for name, matrix in candidates.items():
        try:
            with np.errstate(invalid="ignore", over="ignore"):
                grids |= {} if matrix is None else {name: Grid(size_xyz[::-1], scale @ matrix)}
        except DataError:
            _log.warning("%s: the %s is not an invertible matrix; the next description is taken", path, name)
    if not grids:
        raise FileError(path, "an invertible matrix or voxel sizes", "none", "repair its header")
    _warn_of_doubt(path, grids)
    return next(iter(grids.values()))


def _warn_of_doubt(path: Path, grids: Mapping[str, Grid]) -> None:
    """Warn where other programs may put the image elsewhere: two matrices that differ, or none at all."""
    if {"sform", "qform"} <= grids.keys():
        corners = grids["sform"].corners_lps_mm() - grids["qform"].corners_lps_mm()
        if (apart := float(np.linalg.norm(corners, axis=1).max())) > _SAME_PLACE_MM:
            _log.warning("%s: sform and qform differ by up to %.1f mm; the sform is taken", path, apart)
    elif list(grids) == ["voxel sizes"]:
        _log.warning("%s: neither sform nor qform; its axes are taken as right, anterior, superior", path)


def _sizes_alone(header: Any) -> NDArray[np.float64]:
    """Matrix by method 1 of the NIfTI standard: neither code set, axes along RAS from the first voxel."""
    return np.diag([*np.abs(header["pixdim"][1:4].astype(np.float64)), 1.0])


def _image(volume: Volume) -> Any:
    matrix = RAS_TO_LPS @ volume.grid.matrix
    image = nibabel.Nifti1Image(volume.voxels.T, matrix)
    image.header.set_xyzt_units("mm")
    image.set_sform(matrix, code="scanner")
    image.set_qform(matrix if volume.grid.is_orthogonal else None, code="scanner" if volume.grid.is_orthogonal else 0)
    return image


def _save(image: Any, path: Path) -> None:
    with staged(path) as target:
        nibabel.save(image, target)
