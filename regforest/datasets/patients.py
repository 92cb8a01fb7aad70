"""The table `patients.csv`: which scans are of one person."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from regforest.errors import FileError

__all__ = ["read_patients", "write_patients"]


def read_patients(path: Path) -> dict[str, str]:
    """Read a table with the columns ``case,patient``; semicolons or tabs may stand for the commas.

    Returns
    -------
    dict of str to str
        Case -> patient.

    Raises
    ------
    FileError
        If the file cannot be read, lacks a column or a value, or gives one case to two patients.
    """
    from regforest.io import separator_of

    advice = "write a first line 'case,patient' and one line for each case"
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            head = stream.readline()
            stream.seek(0)
            rows = list(csv.DictReader(stream, delimiter=separator_of(head)))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FileError(path, "a table of cases and patients", str(error), advice) from error
    patients: dict[str, str] = {}
    for line, row in enumerate(rows, start=2):
        case, patient = ((row.get(column) or "").strip() for column in ("case", "patient"))
        if not case or not patient:
            raise FileError(path, "the columns case and patient", f"{dict(row)} in line {line}", advice)
        if patients.setdefault(case, patient) != patient:
            raise FileError(path, f"one patient for case {case!r}", f"{patients[case]!r} and {patient!r}", advice)
    return patients


def write_patients(path: Path, patients: Mapping[str, str]) -> None:
    """Write the table ``case,patient``, sorted by case."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("case", "patient"))
        writer.writerows(sorted(patients.items()))
