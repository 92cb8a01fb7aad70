"""Make small DICOM files with any fault one likes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

CT, MR, ENHANCED_MR = (f"1.2.840.10008.5.1.4.1.1.{end}" for end in ("2", "4", "4.1"))
AXIAL = (1, 0, 0, 0, 1, 0)
SECRETS = {"PatientName": "Geheim^Grete", "PatientID": "MRN-4711", "PatientBirthDate": "19560229"}


def image(pixels: ArrayLike, **tags: Any) -> Dataset:
    """An image without a place; `tags` replace or (None) remove what is there by default."""
    array = np.asarray(pixels)
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.Modality = MR, "MR"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.3", "1.2.3.4"
    dataset.SOPInstanceUID = generate_uid()
    dataset.SeriesNumber, dataset.SeriesDescription, dataset.InstanceNumber = 1, "a series", 1
    for keyword, value in SECRETS.items():
        setattr(dataset, keyword, value)
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = array.shape[-2:]
    bits = 8 * array.dtype.itemsize
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, bits, bits - 1
    dataset.PixelRepresentation = int(array.dtype.kind == "i")
    dataset.PixelData = array.astype(array.dtype.newbyteorder("<")).tobytes()
    for keyword, value in tags.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    return dataset


def placed(
    pixels: ArrayLike, position: ArrayLike, orientation: ArrayLike = AXIAL, spacing: ArrayLike = (1, 1), **tags: Any
) -> Dataset:
    """A slice: position LPS mm, direction of rows and columns, spacing (between rows, between columns)."""
    place = {
        "ImagePositionPatient": np.round(np.asarray(position, float), 9).tolist(),
        "ImageOrientationPatient": np.round(np.asarray(orientation, float).ravel(), 12).tolist(),
        "PixelSpacing": np.asarray(spacing, float).tolist(),
    }
    text = {key: [f"{x:.12g}"[:16] for x in values] for key, values in place.items()}
    return image(pixels, **{**text, **tags})


def save(dataset: Dataset, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


def stack(voxels: NDArray[Any], step_mm: float = 3.0, **tags: Any) -> list[Dataset]:
    """Axial slices from the feet up."""
    return [
        placed(pixels, (0, 0, k * step_mm), SOPInstanceUID=f"1.2.3.4.{k + 1}", InstanceNumber=k + 1, **tags)
        for k, pixels in enumerate(voxels)
    ]


def write(folder: Path, datasets: list[Dataset], name: str = "{:03d}.dcm") -> list[Path]:
    return [save(dataset, folder / name.format(k)) for k, dataset in enumerate(datasets)]


def item(**tags: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    return dataset


def group(**tags: Any) -> Sequence:
    return Sequence([item(**tags)])


def enhanced(voxels: NDArray[Any], positions: ArrayLike, **tags: Any) -> Dataset:
    """A multi-frame file: size and direction shared, one position for each frame."""
    shared = item(
        PixelMeasuresSequence=group(PixelSpacing=[0.5, 0.75], SliceThickness=3),
        PlaneOrientationSequence=group(ImageOrientationPatient=[1, 0, 0, 0, 1, 0]),
        PixelValueTransformationSequence=group(RescaleSlope=2, RescaleIntercept=-10, RescaleType="US"),
    )
    frames = [
        item(PlanePositionSequence=group(ImagePositionPatient=[float(x) for x in position]))
        for position in np.asarray(positions)
    ]
    return image(
        voxels,
        SOPClassUID=ENHANCED_MR,
        NumberOfFrames=len(voxels),
        SharedFunctionalGroupsSequence=Sequence([shared]),
        PerFrameFunctionalGroupsSequence=Sequence(frames),
        **tags,
    )
