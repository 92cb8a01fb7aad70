from pathlib import Path

import pytest

from regforest.datasets.label_names import read_labels_json, write_labels_json
from regforest.errors import FileError


def test_what_is_written_is_read_back_sorted_by_value(tmp_path: Path) -> None:
    write_labels_json(tmp_path / "labels.json", {10: "L1", 2: "T12/L1"})
    assert (tmp_path / "labels.json").read_text(encoding="utf-8") == '{\n "2": "T12/L1",\n "10": "L1"\n}\n'
    assert read_labels_json(tmp_path / "labels.json") == {2: "T12/L1", 10: "L1"}


def test_names_are_normalised_and_the_background_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "labels.json").write_text('\ufeff{"0": "nothing", "3": " l5/s1 "}', encoding="utf-8")
    assert read_labels_json(tmp_path / "labels.json") == {3: "L5/S1"}


@pytest.mark.parametrize(
    "content", ["{", "[1]", '{"0": "background", "1": "tooth"}', '{"1": "L1", "2": "L1"}', '{"1": "L1", "1": "L2"}']
)
def test_what_makes_no_sense_is_refused_with_the_name_of_the_file(tmp_path: Path, content: str) -> None:
    (tmp_path / "labels.json").write_text(content, encoding="utf-8")
    with pytest.raises(FileError, match=r"labels\.json"):
        read_labels_json(tmp_path / "labels.json")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"labels\.json"):
        read_labels_json(tmp_path / "labels.json")
