"""The table of cases and patients."""

from __future__ import annotations

from pathlib import Path

import pytest

from regforest.datasets.patients import read_patients, write_patients
from regforest.errors import FileError


def test_a_table_is_written_and_read(tmp_path: Path) -> None:
    table = {"02": "Müller, A", "01": "B"}
    write_patients(tmp_path / "patients.csv", table)
    assert read_patients(tmp_path / "patients.csv") == table
    assert (tmp_path / "patients.csv").read_text(encoding="utf-8").splitlines()[:2] == ["case,patient", "01,B"]


def test_a_table_from_a_spreadsheet_is_read(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_bytes("\ufeffpatient,case,age\r\nA, 01 ,44\r\n".encode())
    assert read_patients(tmp_path / "p.csv") == {"01": "A"}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("case:patient\n01:A\n", "line 2"),
        ("case,patient\n01,\n", "line 2"),
        ("case,patient\n1,A\n1,B\n", "'A' and 'B'"),
    ],
)
def test_a_broken_table_is_named_with_its_line(tmp_path: Path, content: str, complaint: str) -> None:
    (tmp_path / "p.csv").write_text(content)
    with pytest.raises(FileError, match=complaint):
        read_patients(tmp_path / "p.csv")


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"none\.csv"):
        read_patients(tmp_path / "none.csv")


@pytest.mark.parametrize("separator", [";", "\t"])
def test_other_separators_of_spreadsheets_are_read(tmp_path: Path, separator: str) -> None:
    (tmp_path / "p.csv").write_text("case,patient\n01,A\n02,A\n".replace(",", separator))
    assert read_patients(tmp_path / "p.csv") == {"01": "A", "02": "A"}
