"""Files in and out: images, landmarks, models. Everything arrives in LPS millimetres."""

from regforest.io._atomic import clear_unfinished, write_bytes, write_json, write_text
from regforest.io._fingerprints import fingerprint
from regforest.io._folders import leads_back, list_folder, walk_files
from regforest.io._journal import Journal, differences
from regforest.io._lml import LML_IDS, lml_remarks
from regforest.io._lock import folder_lock
from regforest.io._names import split_name
from regforest.io._records import parsed_object, read_json, separator_of
from regforest.io.dicom import list_dicom, read_dicom
from regforest.io.images import (
    IMAGE_SUFFIXES,
    image_stem,
    read_grid,
    read_label_names,
    read_volume,
    write_label_image,
    write_volume,
)
from regforest.io.label_tables import read_bids_labels, write_bids_labels, write_label_tables
from regforest.io.landmark_files import LANDMARK_SUFFIXES, landmark_stem, read_landmarks, write_landmarks

__all__ = [
    "IMAGE_SUFFIXES",
    "LANDMARK_SUFFIXES",
    "LML_IDS",
    "Journal",
    "clear_unfinished",
    "differences",
    "fingerprint",
    "folder_lock",
    "image_stem",
    "landmark_stem",
    "leads_back",
    "list_dicom",
    "list_folder",
    "lml_remarks",
    "parsed_object",
    "read_bids_labels",
    "read_dicom",
    "read_grid",
    "read_json",
    "read_label_names",
    "read_landmarks",
    "read_volume",
    "separator_of",
    "split_name",
    "walk_files",
    "write_bids_labels",
    "write_bytes",
    "write_json",
    "write_label_image",
    "write_label_tables",
    "write_landmarks",
    "write_text",
    "write_volume",
]
