import shlex

import pytest

from regforest.errors import FileError
from regforest.io.label_tables import read_bids_labels, write_bids_labels, write_label_tables
from regforest.spatial import level

NAMES = {2: "L1/L2", 1: "T12/L1", 12: "L5"}


def colour(name):
    return tuple(round(255 * part) for part in level(name).colour)


def test_itk_snap_gets_a_line_of_eight_fields_for_each_label(tmp_path):
    write_label_tables(NAMES, tmp_path / "a_seg")
    lines = [line for line in (tmp_path / "a_seg.itksnap.txt").read_text().splitlines() if line[0] != "#"]
    fields = [shlex.split(line) for line in lines]
    assert all(len(row) == 8 for row in fields)
    assert fields[0] == ["0", "0", "0", "0", "0", "0", "0", "Clear Label"]
    found = {int(row[0]): (row[7], tuple(map(int, row[1:4]))) for row in fields[1:]}
    assert found == {value: (name, colour(name)) for value, name in NAMES.items()}
    assert [int(row[0]) for row in fields] == [0, 1, 2, 12]


def test_slicer_gets_a_colour_table(tmp_path):
    write_label_tables(NAMES, tmp_path / "a_seg")
    lines = (tmp_path / "a_seg.ctbl").read_text().splitlines()
    assert lines[0].startswith("# Color table file")
    fields = [line.split(" ") for line in lines[1:]]
    assert all(len(row) == 6 for row in fields)
    found = {int(row[0]): (row[1], tuple(map(int, row[2:5]))) for row in fields[1:]}
    assert found == {value: (name, colour(name)) for value, name in NAMES.items()}
    assert {row[5] for row in fields[1:]} == {"255"}


def test_the_table_of_bids_gives_the_names_back(tmp_path):
    write_bids_labels(NAMES, tmp_path / "sub-01_dseg.tsv")
    assert read_bids_labels(tmp_path / "sub-01_dseg.tsv") == NAMES
    assert (tmp_path / "sub-01_dseg.tsv").read_text().splitlines()[1] == "1\tT12/L1\t#{:02x}{:02x}{:02x}".format(
        *colour("T12/L1")
    )


def test_a_table_of_bids_may_have_lines_of_any_system(tmp_path):
    (tmp_path / "dseg.tsv").write_text("index\tname\r1\tL1\r2\tL2\r\n", newline="")
    assert read_bids_labels(tmp_path / "dseg.tsv") == {1: "L1", 2: "L2"}


def test_rows_of_bids_that_are_no_level_are_left_out(tmp_path):
    (tmp_path / "dseg.tsv").write_text("index\tname\n0\tbackground\n1\tspinal cord\n20\tl1\n")
    assert read_bids_labels(tmp_path / "dseg.tsv") == {20: "L1"}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("index,name\n1,L1\n", "index and name"),
        ("index\tname\nx\tL1\n", "'x' in line 2"),
        ("index\tname\n0\tL1\n", "'0'"),
        ("index\tname\n" + "9" * 5000 + "\tL1\n", "'99999999999999999999' in line 2"),
        ("index\tname\n1\t" + "L" * 200_000, "a table of labels, found field larger"),
    ],
)
def test_a_bad_table_of_bids_is_refused_by_name(tmp_path, text, complaint):
    (tmp_path / "dseg.tsv").write_text(text, newline="")
    with pytest.raises(FileError, match=rf"dseg\.tsv.*{complaint}"):
        read_bids_labels(tmp_path / "dseg.tsv")
