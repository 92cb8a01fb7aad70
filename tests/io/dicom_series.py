"""Small DICOM series in any orientation, made with pydicom."""

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid


def write_series(folder, voxels, matrix, **fields):
    """Write voxels (z, y, x) on a grid as single-frame CT images, named so that their order is not that of space.

    The rows of the images run along the grid's x axis, the images follow each other along its z axis.
    """
    folder.mkdir(parents=True, exist_ok=True)
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    shared = {"StudyInstanceUID": generate_uid(), "SeriesInstanceUID": generate_uid(),
              "FrameOfReferenceUID": generate_uid()} | fields  # fmt: skip
    for z, plane in enumerate(voxels):
        image = _image(plane, shared)
        image.ImageOrientationPatient = [float(f"{x:.10g}") for x in (matrix[:3, :2] / spacing[:2]).T.ravel()]
        image.ImagePositionPatient = [float(f"{x:.10g}") for x in matrix[:3] @ [0, 0, z, 1]]
        image.PixelSpacing = [float(f"{x:.10g}") for x in spacing[1::-1]]
        image.SliceThickness = float(f"{spacing[2]:.10g}")
        image.InstanceNumber = z + 1
        image.save_as(folder / f"{(7 * z) % len(voxels):03}.dcm", enforce_file_format=True)
    return folder


def _image(plane, shared):
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.SOPClassUID = CTImageStorage
    image.SOPInstanceUID = generate_uid()
    image.Modality = "CT"
    image.PatientName, image.PatientID, image.PatientBirthDate, image.PatientSex = "Phantom^Made", "P1", "", "O"
    image.StudyID = image.AccessionNumber = image.ReferringPhysicianName = ""
    image.StudyDate, image.StudyTime, image.SeriesNumber = "20200101", "120000", 3
    image.Rows, image.Columns = plane.shape
    image.BitsAllocated = image.BitsStored = 16
    image.HighBit, image.PixelRepresentation, image.SamplesPerPixel = 15, 1, 1
    image.PhotometricInterpretation = "MONOCHROME2"
    image.PixelData = np.ascontiguousarray(plane, np.int16).tobytes()
    for key, value in shared.items():
        setattr(image, key, value)
    return image


def read_all(folder):
    return [pydicom.dcmread(path) for path in sorted(folder.iterdir())]
