"""Data sets of the field, a folder of one's own, and phantoms; all look alike from outside."""

from regforest.datasets.case import Case, Dataset, Fault, readable_sizes
from regforest.datasets.detect import LAYOUTS, detect_layout, open_dataset
from regforest.datasets.splits import Splits, folds_for, read_splits, split_differences, train_and_test_for
from regforest.datasets.terms import announce_terms

__all__ = [
    "LAYOUTS",
    "Case",
    "Dataset",
    "Fault",
    "Splits",
    "announce_terms",
    "detect_layout",
    "folds_for",
    "open_dataset",
    "read_splits",
    "readable_sizes",
    "split_differences",
    "train_and_test_for",
]
