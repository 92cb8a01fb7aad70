import shutil

import highdicom
import numpy as np
import pydicom
import pytest

from regforest.errors import DataError, FileError, FrameError
from regforest.io.dicom_out import level_code, write_dicom_landmarks, write_dicom_segmentation
from regforest.spatial import DISCS, LEVELS, Grid, Landmarks, Volume
from tests.io.dicom_series import read_all, write_series
from tests.reference import ALL_ORIENTATIONS, reorient

SHAPE = (4, 5, 6)
NAMES = {7: "L1", 20: "L5/S1"}
PLACES_ZYX = {7: (1, 3, 2), 20: (2, 0, 5)}
OBLIQUE = [[0.96, -0.28, 0], [0.28, 0.96, 0], [0, 0, 1]]
TILTED = [[1, 0, 0], [0, 1, 0.26], [0, 0, 0.966]]
STRAIGHT_GRID = Grid.from_parts(SHAPE, (0.5, 0.75, 2.5), (-30, 12, 400))


def labelled(direction=None, order=(0, 1, 2), flips=(False,) * 3):
    """Two labelled voxels on a grid with its axes in this order, and their LPS millimetres."""
    grid = Grid.from_parts(SHAPE, (0.5, 0.75, 2.5), (-30, 12, 400), direction)
    voxels = np.zeros(SHAPE, np.uint8)
    for value, place in PLACES_ZYX.items():
        voxels[place] = value
    turned, matrix = reorient(voxels, grid.matrix, order, flips)
    points = {NAMES[value]: grid.matrix[:3] @ [*place[::-1], 1] for value, place in PLACES_ZYX.items()}
    return Volume(turned, Grid(turned.shape, matrix)), points


def segments_in_space(path):
    """Level -> LPS millimetres of its voxels, from the tags by the formula of the standard (C.7.6.2.1.1)."""
    seg = highdicom.seg.segread(path)
    shared = seg.SharedFunctionalGroupsSequence[0]
    rows, columns = map(float, shared.PixelMeasuresSequence[0].PixelSpacing)
    orientation = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float).reshape(2, 3)
    found = {}
    for frame, functional in zip(seg.pixel_array, seg.PerFrameFunctionalGroupsSequence, strict=True):
        number = functional.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        position = np.array(functional.PlanePositionSequence[0].ImagePositionPatient, float)
        for row, column in np.argwhere(frame):
            point = position + orientation[0] * columns * column + orientation[1] * rows * row
            found.setdefault(seg.SegmentSequence[number - 1].SegmentLabel, []).append(point)
    return found


@pytest.fixture
def series(tmp_path):
    return write_series(tmp_path / "series", np.zeros(SHAPE), STRAIGHT_GRID.matrix)


@pytest.mark.parametrize(("order", "flips"), ALL_ORIENTATIONS)
def test_a_segment_lies_where_its_voxel_lay_with_every_sign_of_the_direction_cosines(tmp_path, order, flips):
    labels, points = labelled(OBLIQUE, order, flips)
    folder = write_series(tmp_path / "series", labels.voxels * 0, labels.grid.matrix)
    write_dicom_segmentation(labels, NAMES, tmp_path / "seg.dcm", folder)
    found = segments_in_space(tmp_path / "seg.dcm")
    assert {name: len(voxels) for name, voxels in found.items()} == {"L1": 1, "L5/S1": 1}
    for name, point in points.items():
        np.testing.assert_allclose(found[name][0], point, atol=1e-4)


@pytest.mark.parametrize(("order", "flips"), ALL_ORIENTATIONS[::5])
def test_labels_in_another_axis_order_than_the_series_land_on_the_same_places(tmp_path, series, order, flips):
    labels, points = labelled(None, order, flips)
    write_dicom_segmentation(labels, NAMES, tmp_path / "seg.dcm", series)
    found = segments_in_space(tmp_path / "seg.dcm")
    for name, point in points.items():
        np.testing.assert_allclose(found[name], [point], atol=1e-4)


def test_a_series_from_a_tilted_gantry_keeps_its_shear(tmp_path):
    labels, points = labelled(TILTED)
    folder = write_series(tmp_path / "series", labels.voxels * 0, labels.grid.matrix)
    write_dicom_segmentation(labels, NAMES, tmp_path / "seg.dcm", folder)
    for name, point in points.items():
        np.testing.assert_allclose(segments_in_space(tmp_path / "seg.dcm")[name], [point], atol=1e-4)


def test_segments_are_coded_and_refer_to_their_source_images(tmp_path, series):
    write_dicom_segmentation(labelled()[0], NAMES, tmp_path / "seg.dcm", series)
    seg = highdicom.seg.segread(tmp_path / "seg.dcm")
    typed = [segment.SegmentedPropertyTypeCodeSequence[0] for segment in seg.SegmentSequence]
    assert [(code.CodeValue, code.CodingSchemeDesignator) for code in typed] == [
        ("66794005", "SCT"),
        ("715056000", "SCT"),
    ]
    uids = {image.SOPInstanceUID for image in read_all(series)}
    assert {uid for _, _, uid in seg.get_source_image_uids()} <= uids


@pytest.mark.parametrize(("order", "flips"), ALL_ORIENTATIONS)
def test_a_report_holds_each_level_as_a_coded_point_in_the_patients_millimetres(tmp_path, order, flips):
    labels, points = labelled(OBLIQUE, order, flips)
    folder = write_series(tmp_path / "series", labels.voxels * 0, labels.grid.matrix)
    write_dicom_landmarks(Landmarks(points), tmp_path / "sr.dcm", folder)
    report = highdicom.sr.srread(tmp_path / "sr.dcm")
    groups = report.content.get_planar_roi_measurement_groups()
    assert [group.tracking_identifier for group in groups] == ["L1", "L5/S1"]
    for group, (name, point) in zip(groups, points.items(), strict=True):
        assert group.finding_type == level_code(name)
        assert group.finding_sites[0].value == level_code(name)
        assert group.roi.graphic_type.value == "POINT"
        assert group.roi.frame_of_reference_uid == read_all(folder)[0].FrameOfReferenceUID
        np.testing.assert_allclose(group.roi.value, [point], atol=1e-3)


def test_the_report_is_of_template_1500_and_names_its_evidence(tmp_path, series):
    write_dicom_landmarks(Landmarks({"L1": (-29, 13, 402)}), tmp_path / "sr.dcm", series)
    report = pydicom.dcmread(tmp_path / "sr.dcm")
    assert report.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    referenced = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
    assert len(referenced.ReferencedSOPSequence) == SHAPE[0]


@pytest.mark.parametrize("kind", ["seg", "sr"])
def test_of_the_patient_nothing_is_written_but_what_identifies_patient_and_study(tmp_path, kind):
    more = {"PatientAddress": "Secret", "PatientComments": "Secret", "InstitutionName": "Secret",
            "OperatorsName": "Secret", "StudyDescription": "Secret", "DeviceSerialNumber": "Secret"}  # fmt: skip
    folder = write_series(tmp_path / "series", np.zeros(SHAPE), STRAIGHT_GRID.matrix, **more)
    if kind == "seg":
        write_dicom_segmentation(labelled()[0], NAMES, tmp_path / "out.dcm", folder)
    else:
        write_dicom_landmarks(Landmarks({"L1": (-29, 13, 402)}), tmp_path / "out.dcm", folder)
    written = pydicom.dcmread(tmp_path / "out.dcm")
    assert (written.PatientName, written.PatientID) == ("Phantom^Made", "P1")
    assert written.StudyInstanceUID == read_all(folder)[0].StudyInstanceUID
    assert b"Secret" not in (tmp_path / "out.dcm").read_bytes()


def test_every_level_has_one_code_of_its_own():
    codes = {level_code(name) for name in (*LEVELS, *DISCS)}
    assert len(codes) == len(LEVELS) + len(DISCS)
    own = {code.value for code in codes if code.scheme_designator == "99REGFOREST"}
    assert own == {"T13", "L6", "S2", "T12/T13", "T13/L1", "L5/L6", "L6/S1", "S1/S2"}


def test_a_series_of_one_image_is_enough(tmp_path):
    folder = write_series(tmp_path / "series", np.zeros((1, 5, 6)), STRAIGHT_GRID.matrix)
    values = np.where(np.arange(30) < 10, 7, 20).reshape(1, 5, 6).astype(np.uint8)
    labels = Volume(values, Grid((1, 5, 6), STRAIGHT_GRID.matrix))
    write_dicom_segmentation(labels, NAMES, tmp_path / "seg.dcm", folder)
    found = segments_in_space(tmp_path / "seg.dcm")
    assert {name: len(points) for name, points in found.items()} == {"L1": 10, "L5/S1": 20}


def test_other_files_copies_and_localizers_beside_the_images_do_no_harm(tmp_path, series):
    (series / "DICOMDIR").write_text("no image")
    (series / "notes.txt").write_text("")
    shutil.copy(series / "000.dcm", series / "9.dcm")
    write_series(series / "scout", np.zeros((2, 5, 6)), np.eye(4), SeriesDescription="Localizer")
    write_dicom_segmentation(labelled()[0], NAMES, tmp_path / "seg.dcm", series)
    assert {len(voxels) for voxels in segments_in_space(tmp_path / "seg.dcm").values()} == {1}


@pytest.mark.parametrize("zipped", [False, True])
def test_of_several_series_the_named_one_is_the_source(tmp_path, series, zipped):
    write_series(series / "more", np.zeros((9, 5, 6)), np.eye(4))
    uid = pydicom.dcmread(series / "000.dcm").SeriesInstanceUID
    source = shutil.make_archive(tmp_path / "study", "zip", series) if zipped else series
    labels, points = labelled()
    write_dicom_segmentation(labels, NAMES, tmp_path / "seg.dcm", source, uid)
    write_dicom_landmarks(Landmarks(points), tmp_path / "sr.dcm", source, uid)
    for name, point in points.items():
        np.testing.assert_allclose(segments_in_space(tmp_path / "seg.dcm")[name], [point], atol=1e-4)
    referenced = pydicom.dcmread(tmp_path / "sr.dcm").CurrentRequestedProcedureEvidenceSequence[0]
    assert [series.SeriesInstanceUID for series in referenced.ReferencedSeriesSequence] == [uid]


def retagged(folder, **tags):
    for path in folder.iterdir():
        image = pydicom.dcmread(path)
        for keyword, value in tags.items():
            setattr(image, keyword, value)
        image.save_as(path)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda folder: shutil.rmtree(folder), "a folder, a zip or a file, found nothing"),
        (lambda folder: [path.unlink() for path in folder.iterdir()], "DICOM images, found no files"),
        (
            lambda folder: write_series(folder / "more", np.zeros((2, 5, 6)), np.eye(4)),
            r"one series, found .*: 4 slices, ct axial\)",
        ),
        (
            lambda folder: (folder / "003.dcm").unlink(),
            "one step between neighbouring images, found missing slices: 1",
        ),
        (
            lambda folder: write_series(
                folder / "more", np.zeros((1, 5, 6)), STRAIGHT_GRID.matrix, PatientID="P2", Modality="MR"
            ),
            "images of one patient, found 2 patients",
        ),
        (lambda folder: retagged(folder, FrameOfReferenceUID=""), r"FrameOfReferenceUID \(0020,0052\), found none"),
        (lambda folder: retagged(folder, SharedFunctionalGroupsSequence=[]), "single-frame images"),
    ],
)
def test_a_series_that_cannot_be_used_is_refused_by_name(tmp_path, series, change, complaint):
    change(series)
    for write in (
        lambda path: write_dicom_segmentation(labelled()[0], NAMES, path, series),
        lambda path: write_dicom_landmarks(Landmarks({"L1": (-29, 13, 402)}), path, series),
    ):
        with pytest.raises(FileError, match=rf"series.*{complaint}"):
            write(tmp_path / "out.dcm")
    assert not (tmp_path / "out.dcm").exists()


def test_labels_elsewhere_or_without_a_name_and_points_outside_are_refused(tmp_path, series):
    moved = Volume(labelled()[0].voxels, Grid.from_parts(SHAPE, (0.5, 0.75, 2.5), (-30, 12, 401)))
    with pytest.raises(DataError, match="resample them onto the series"):
        write_dicom_segmentation(moved, NAMES, tmp_path / "out.dcm", series)
    with pytest.raises(DataError, match=r"values without one: \[20\]"):
        write_dicom_segmentation(labelled()[0], {7: "L1"}, tmp_path / "out.dcm", series)
    with pytest.raises(DataError, match="no label at all"):
        write_dicom_segmentation(
            Volume(np.zeros(SHAPE, np.uint8), STRAIGHT_GRID), NAMES, tmp_path / "out.dcm", series
        )
    with pytest.raises(DataError, match="points in the images"):
        write_dicom_landmarks(Landmarks({"L1": (500, 0, 0)}), tmp_path / "out.dcm", series)
    with pytest.raises(FrameError, match="'grid'"):
        write_dicom_landmarks(Landmarks({"L1": (1, 1, 1)}, frame="grid"), tmp_path / "out.dcm", series)
