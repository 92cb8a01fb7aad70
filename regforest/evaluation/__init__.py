"""Judging results: landmarks, masks, confidence intervals, and what others have published."""

from regforest.evaluation.bootstrap import PatientBootstrap
from regforest.evaluation.confusion import confusion
from regforest.evaluation.difficulty import DIFFICULTIES, difficulties, lateral_cobb_deg
from regforest.evaluation.histogram import error_histogram
from regforest.evaluation.localization import DEFINITIONS, LevelRow, evaluate_case, summarize
from regforest.evaluation.overlap import compare_labels, compare_masks, divide_among, divided_labels
from regforest.evaluation.paired import compare_levels, paired_difference
from regforest.evaluation.published import PUBLISHED_STRUCTURES, PUBLISHED_VERTEBRAE, Published
from regforest.evaluation.structures import StructureRow, evaluate_structures, summarize_structures

__all__ = [
    "DEFINITIONS",
    "DIFFICULTIES",
    "PUBLISHED_STRUCTURES",
    "PUBLISHED_VERTEBRAE",
    "LevelRow",
    "PatientBootstrap",
    "Published",
    "StructureRow",
    "compare_labels",
    "compare_levels",
    "compare_masks",
    "confusion",
    "difficulties",
    "divide_among",
    "divided_labels",
    "error_histogram",
    "evaluate_case",
    "evaluate_structures",
    "lateral_cobb_deg",
    "paired_difference",
    "summarize",
    "summarize_structures",
]
