"""Which scans are trained on and which are judged: folds as data, always whole patients when drawn."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from regforest.datasets.case import Case
from regforest.errors import DataError, FileError

__all__ = ["Splits", "folds_for", "read_id_list", "read_splits", "split_differences", "train_and_test_for"]

AnyCase = TypeVar("AnyCase", bound=Case)

_TEST_FILE = "csi2014_test60.txt"
_TEST_SHARE = 60 / 302  # of the challenge, for scans that are not of it


@dataclass(frozen=True)
class Splits:
    """Ids of the two folds and, where the folder has it, of the challenge's test set.

    Attributes
    ----------
    fold1, fold2 : tuple of str
        Scan ids; no id is in both.
    test : tuple of str
        Ids of ``csi2014_test60.txt``, empty without that file.
    """

    fold1: tuple[str, ...]
    fold2: tuple[str, ...]
    test: tuple[str, ...] = ()


def read_id_list(path: Path) -> tuple[str, ...]:
    """Read scan ids, one a line, or paths that contain them: the last part that is all digits.

    Blank lines and lines that begin with ``#`` are skipped; an id that stands twice counts once.

    Raises
    ------
    FileError
        If the file cannot be read.
    DataError
        If a line holds no id, or there is none at all.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(path, "a text file with one scan id a line", str(error), "check the path") from error
    ids: dict[str, None] = {}
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if text and not text.startswith("#"):
            ids[_id_of(path, number, text)] = None
    if not ids:
        raise DataError(f"{path}: expected scan ids, one a line; found none")
    return tuple(ids)


def read_splits(folder: str | Path) -> Splits:
    """Read ``fold1*.txt``, ``fold2*.txt`` and, if present, ``csi2014_test60.txt``.

    Raises
    ------
    FileError
        If a fold's file is missing, unreadable, or there are several.
    DataError
        If a file is empty or an id is in two of them.
    """
    root = Path(folder)
    test_file = root / _TEST_FILE
    splits = Splits(
        read_id_list(_fold_file(root, 1)),
        read_id_list(_fold_file(root, 2)),
        read_id_list(test_file) if test_file.is_file() else (),
    )
    parts = {"fold 1": splits.fold1, "fold 2": splits.fold2, "the test set": splits.test}
    for first, second in (("fold 1", "fold 2"), ("fold 1", "the test set"), ("fold 2", "the test set")):
        both = sorted(set(parts[first]) & set(parts[second]))
        if both:
            raise DataError(f"{root}: expected disjoint parts, found {_some(both)} in {first} and in {second}")
    return splits


def folds_for(
    cases: Sequence[AnyCase], split_dir: str | Path, seed: int
) -> tuple[tuple[tuple[AnyCase, ...], tuple[AnyCase, ...]], tuple[str, ...]]:
    """Divide cases into two folds: by the ids in the split files, or, if none is there, by patient at random.

    Parameters
    ----------
    cases : sequence of Case
        What is there.
    split_dir : str or Path
        Folder with fold1*.txt and fold2*.txt.
    seed : int
        For folds that have to be drawn.

    Returns
    -------
    folds : two tuples of Case
        In the order of `cases`; cases in neither file are left out.
    notes : tuple of str
        How the folds came about, and what the user should know about them.

    Raises
    ------
    FileError, DataError
        As in `read_splits`; also if a fold would be empty.
    """
    splits = read_splits(split_dir)
    folds = tuple(tuple(case for case in cases if case.name in set(ids)) for ids in (splits.fold1, splits.fold2))
    if not folds[0] and not folds[1]:
        return _drawn(cases, seed), (
            f"none of the {len(cases)} scans is in the files of {split_dir}: two folds drawn by patient, seed {seed}",
        )
    for number, (fold, ids) in enumerate(zip(folds, (splits.fold1, splits.fold2), strict=True), start=1):
        if not fold:
            raise DataError(
                f"{split_dir}: fold {number} is empty, none of its {len(ids)} scans is in the data; "
                "check that files and data belong together"
            )
    return (folds[0], folds[1]), tuple(_remarks(cases, folds[0], folds[1], splits))


def train_and_test_for(
    cases: Sequence[AnyCase], split_dir: str | Path, seed: int
) -> tuple[tuple[tuple[AnyCase, ...], tuple[AnyCase, ...]], tuple[str, ...]]:
    """Divide cases as the challenge of 2014 did: the scans of its list are tested, all others are trained on.

    Scans of which none is in the list are divided in the same proportion, by patient at random.

    Parameters
    ----------
    cases : sequence of Case
        What is there.
    split_dir : str or Path
        Folder with csi2014_test60.txt.
    seed : int
        For a division that has to be drawn.

    Returns
    -------
    parts : two tuples of Case
        To train on, and to test.
    notes : tuple of str
        How the division came about, and what the user should know about it.

    Raises
    ------
    FileError, DataError
        If the list is missing or damaged, or a part would be empty.
    """
    path = Path(split_dir) / _TEST_FILE
    ids = set(read_id_list(path))
    train, test = _parted(cases, {case.name for case in cases} & ids)
    if not test:
        patients = sorted({case.patient for case in cases})
        count = max(1, round(_TEST_SHARE * len(patients)))
        drawn = {patients[i] for i in np.random.default_rng(seed).permutation(len(patients))[:count]}
        train, test = _parted(cases, {case.name for case in cases if case.patient in drawn})
        notes = [
            f"none of the {len(cases)} scans is in {path}: a test set of {count} of {len(patients)} patients drawn, "
            f"seed {seed}"
        ]
    else:
        notes = [f"trained on {len(train)} scans, tested on {len(test)} of the {len(ids)} of {path.name}"]
    if not train:
        raise DataError(f"{path}: there is no scan to train on, all {len(cases)} are to be tested")
    return (train, test), (*notes, *_shared_patients(train, test, "are trained on and tested"))


def split_differences(given: Splits, known: Splits) -> str:
    """Say how two pairs of folds differ; which of the halves is called the first does not matter.

    Examples
    --------
    >>> split_differences(Splits(("1", "2"), ("3",)), Splits(("3", "4"), ("1", "2")))
    'of 4 scans 1 differ: 4'
    >>> split_differences(Splits(("1", "2"), ("3",)), Splits(("3",), ("1", "2")))
    'the same two halves'
    """
    pairs = ((known.fold1, known.fold2), (known.fold2, known.fold1))
    moved = min((_moved(given, *pair) for pair in pairs), key=len)
    together = {*given.fold1, *given.fold2, *known.fold1, *known.fold2}
    return f"of {len(together)} scans {len(moved)} differ: {_some(sorted(moved))}" if moved else "the same two halves"


def _moved(given: Splits, first: Sequence[str], second: Sequence[str]) -> set[str]:
    """Find the scans that are not in the fold where the others have them."""
    return (set(given.fold1) ^ set(first)) | (set(given.fold2) ^ set(second))


def _parted(cases: Sequence[AnyCase], tested: set[str]) -> tuple[tuple[AnyCase, ...], tuple[AnyCase, ...]]:
    return tuple(c for c in cases if c.name not in tested), tuple(c for c in cases if c.name in tested)


def _drawn(cases: Sequence[AnyCase], seed: int) -> tuple[tuple[AnyCase, ...], tuple[AnyCase, ...]]:
    patients = sorted({case.patient for case in cases})
    if len(patients) < 2:
        raise DataError(f"two folds by patient need scans of two patients, found {len(patients)}")
    sizes = [0, 0]
    fold_of: dict[str, int] = {}
    for index in np.random.default_rng(seed).permutation(len(patients)):
        fold = int(sizes[1] < sizes[0])
        fold_of[patients[index]] = fold
        sizes[fold] += sum(case.patient == patients[index] for case in cases)
    first, second = (tuple(case for case in cases if fold_of[case.patient] == fold) for fold in (0, 1))
    return first, second


def _remarks(cases: Sequence[Case], first: Sequence[Case], second: Sequence[Case], splits: Splits) -> list[str]:
    used = {case.name for case in (*first, *second)}
    remarks = [f"folds by id: {len(first)} and {len(second)} scans"]
    absent = len({*splits.fold1, *splits.fold2} - used)
    if absent:
        remarks.append(f"{absent} ids of the split files have no usable scan")
    left_out = [case.name for case in cases if case.name not in used]
    if left_out:
        remarks.append(f"{len(left_out)} scans are in neither fold and left out: {_some(left_out)}")
    return [*remarks, *_shared_patients(first, second, "have scans in both folds")]


def _shared_patients(first: Sequence[Case], second: Sequence[Case], what: str) -> list[str]:
    shared = sorted({case.patient for case in first} & {case.patient for case in second})
    return [f"{len(shared)} patients {what}: {_some(shared)}"] if shared else []


def _fold_file(root: Path, number: int) -> Path:
    found = sorted(root.glob(f"fold{number}*.txt"))
    if len(found) != 1:
        what = " and ".join(path.name for path in found) or ("none" if root.is_dir() else "no such folder")
        raise FileError(root, f"one file fold{number}*.txt", what, "name the folder with the fold files")
    return found[0]


def _id_of(path: Path, number: int, text: str) -> str:
    parts = [part.partition(".")[0] for part in re.split(r"[\\/]", text)]
    digits = [part for part in parts if part.isascii() and part.isdigit()]
    if not digits:
        raise DataError(f"{path}: expected a scan id (all digits) in line {number}, found {text!r}; correct the line")
    return digits[-1]


def _some(names: Sequence[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
