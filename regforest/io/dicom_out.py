"""DICOM out through highdicom: label images as SEG, landmarks as SR (TID 1500), both of one source series.

Patient and study are what highdicom copies from the source, as the standard asks; nothing is added to them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.codedict import Code, codes

from regforest._version import __version__
from regforest.errors import DataError
from regforest.io._atomic import staged
from regforest.io._dicom_series import read_source_series
from regforest.spatial import Grid, Landmarks, Volume, level

__all__ = ["level_code", "write_dicom_landmarks", "write_dicom_segmentation"]

_MAKER = "regforest"
_GRID_TOLERANCE_MM = 0.05  # NIfTI keeps matrices in 32 bits
_OWN_SCHEME = "99REGFOREST"
# not among the vertebrae of DICOM's context group 7603; the code is that of TotalSegmentator's list of SNOMED codes
_MORE_CODES = {"S1": Code("65985001", "SCT", "S1 vertebra")}
_SERIES_NUMBERS = {"SEG": 9001, "SR": 9002}


def level_code(name: str) -> Code:
    """Code of a level: SNOMED CT where DICOM lists one (context groups 7603 and 7604), else one of our own scheme.

    Examples
    --------
    >>> level_code("L5/S1").value, level_code("T13").scheme_designator
    ('715056000', '99REGFOREST')
    """
    known = level(name)
    keyword = known.name.replace("/", "") + ("Disc" if known.is_disc else "Vertebra")
    if known.name in _MORE_CODES:
        return _MORE_CODES[known.name]
    if keyword in dir(codes.SCT):
        return getattr(codes.SCT, keyword)
    meaning = f"{known.name} {'disc' if known.is_disc else 'vertebra'}"
    return Code(known.name, _OWN_SCHEME, meaning)


def write_dicom_segmentation(
    labels: Volume, names: Mapping[int, str], path: str | Path, series: str | Path, series_uid: str | None = None
) -> None:
    """Write a label image as a DICOM SEG object, one segment for each level in it.

    Parameters
    ----------
    labels : Volume
        Integer voxels, 0 for background, on the voxels of the series; the order and sign of the axes may differ.
    names : mapping of int to str
        Value -> level.
    path : str or Path
        File to write, whole or not at all.
    series : str or Path
        Folder or zip with the source series, single-frame images.
    series_uid : str, optional
        Which series, where there are several.

    Raises
    ------
    FileError
        If the series cannot be used or the file not be written.
    DataError
        If the labels lie on other voxels than the series, have no name, or there are none.
    """
    source, grid = read_source_series(Path(series), series_uid)
    values = [int(value) for value in np.unique(labels.voxels) if value]
    unnamed = [value for value in values if value not in names]
    if unnamed or not values:
        found = f"values without one: {unnamed}" if unnamed else "no label at all"
        raise DataError(f"{path}: expected labels with names of levels, found {found}")
    frames = _on_series(labels, grid, Path(series))
    numbered = np.searchsorted([0, *values], frames).astype(np.uint16 if len(values) > 255 else np.uint8)
    dataset = highdicom.seg.Segmentation(
        source_images=source,
        pixel_array=numbered,
        segmentation_type="BINARY",
        segment_descriptions=[_segment(i, names[value]) for i, value in enumerate(values, start=1)],
        content_label="SPINE_LEVELS",
        manufacturer_model_name=_MAKER,
        software_versions=__version__,
        device_serial_number="none",
        **_identity("SEG"),
    )
    _save(dataset, Path(path))


def write_dicom_landmarks(
    landmarks: Landmarks, path: str | Path, series: str | Path, series_uid: str | None = None
) -> None:
    """Write landmarks as a DICOM structured report (TID 1500), each a point in the patient's millimetres.

    Scores are not written. Coordinates are stored in 32 bits.

    Parameters
    ----------
    landmarks : Landmarks
        In LPS millimetres.
    path : str or Path
        File to write, whole or not at all.
    series : str or Path
        Folder or zip with the source series, single-frame images.
    series_uid : str, optional
        Which series, where there are several.

    Raises
    ------
    FrameError
        If the landmarks are not in LPS millimetres.
    FileError
        If the series cannot be used or the file not be written.
    DataError
        If no point lies in the images.
    """
    source, grid = read_source_series(Path(series), series_uid)
    if not grid.contains(landmarks.points_lps_mm).any():
        raise DataError(f"{path}: expected points in the images of {series}, found none there; name their own series")
    report = highdicom.sr.MeasurementReport(
        observation_context=_observer(),
        procedure_reported=codes.SCT.ImagingProcedure,
        imaging_measurements=[_point(name, landmarks[name], source[0].FrameOfReferenceUID) for name in landmarks],
        title=codes.DCM.ImagingMeasurementReport,
    )
    dataset = highdicom.sr.Comprehensive3DSR(evidence=source, content=report[0], is_complete=True, **_identity("SR"))
    _save(dataset, Path(path))


def _on_series(labels: Volume, grid: Grid, folder: Path) -> NDArray[Any]:
    """Bring labels into the axis order of the series, shape (z, y, x); no value is interpolated."""
    if not labels.grid.canonical().is_close(grid.canonical(), _GRID_TOLERANCE_MM):
        raise DataError(
            f"{folder}: expected labels on its {' x '.join(map(str, grid.size_xyz))} voxels, found them on "
            f"{' x '.join(map(str, labels.grid.size_xyz))} or elsewhere; resample them onto the series"
        )
    return labels.resampled_labels(grid).voxels


def _identity(kind: str) -> dict[str, Any]:
    return {
        "series_instance_uid": highdicom.UID(),
        "series_number": _SERIES_NUMBERS[kind],
        "sop_instance_uid": highdicom.UID(),
        "instance_number": 1,
        "manufacturer": _MAKER,
    }


def _segment(number: int, name: str) -> Any:
    red, green, blue = (round(255 * part) for part in level(name).colour)
    return highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=name,
        segmented_property_category=codes.SCT.AnatomicalStructure,
        segmented_property_type=level_code(name),
        algorithm_type="AUTOMATIC",
        algorithm_identification=highdicom.AlgorithmIdentificationSequence(
            name=_MAKER, family=codes.DCM.ArtificialIntelligence, version=__version__
        ),
        display_color=highdicom.color.CIELabColor.from_rgb(red, green, blue),
    )


def _observer() -> Any:
    device = highdicom.sr.DeviceObserverIdentifyingAttributes(
        uid=highdicom.UID(), name=_MAKER, model_name=__version__
    )
    context = highdicom.sr.ObserverContext(observer_type=codes.DCM.Device, observer_identifying_attributes=device)
    return highdicom.sr.ObservationContext(observer_device_context=context)


def _point(name: str, point_lps_mm: NDArray[np.float64], frame_of_reference_uid: str) -> Any:
    return highdicom.sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=highdicom.sr.TrackingIdentifier(uid=highdicom.UID(), identifier=name),
        referenced_region=highdicom.sr.ImageRegion3D(
            graphic_type="POINT", graphic_data=point_lps_mm[None], frame_of_reference_uid=frame_of_reference_uid
        ),
        finding_type=level_code(name),
        finding_sites=[highdicom.sr.FindingSite(anatomic_location=level_code(name))],
    )


def _save(dataset: Dataset, path: Path) -> None:
    with staged(path) as target:
        dataset.save_as(target, enforce_file_format=True)
