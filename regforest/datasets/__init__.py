"""Data sets of the field, a folder of one's own, and phantoms; all look alike from outside."""

from regforest.datasets.case import Case, Dataset, Fault
from regforest.datasets.detect import LAYOUTS, detect_layout, open_dataset
from regforest.datasets.splits import Splits, folds_for, read_splits

__all__ = [
    "LAYOUTS",
    "Case",
    "Dataset",
    "Fault",
    "Splits",
    "detect_layout",
    "folds_for",
    "open_dataset",
    "read_splits",
]
