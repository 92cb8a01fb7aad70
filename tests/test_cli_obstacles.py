"""What stands in the way on a disk: rights, pipes, links to themselves. Always named, with what to do."""

import os

import numpy as np
import pytest

from regforest.cli import main
from regforest.io import write_landmarks, write_volume
from regforest.spatial import Grid, Landmarks, Volume
from tests.rights import closed

POINTS = Landmarks({"L1": (1, 2, 3)})


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "locked").mkdir()
    write_volume(Volume(np.zeros((4, 5, 6), np.int16), Grid.from_parts((4, 5, 6))), tmp_path / "locked" / "a.nii.gz")
    write_landmarks(POINTS, tmp_path / "locked" / "a.csv")
    write_landmarks(POINTS, tmp_path / "a.csv")
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe.nii.gz")
    return tmp_path


def refused(capsys, *arguments):
    assert main([str(argument) for argument in arguments]) in (1, 3)
    message = capsys.readouterr().err
    assert "Errno" not in message
    assert "expected" in message
    assert "check the path" in message or "rights" in message
    return message


@pytest.mark.parametrize("mode", [0, 0o444])
@pytest.mark.parametrize(
    "arguments",
    [
        ("inspect", "locked/a.nii.gz"), ("inspect", "locked/a.csv"), ("label", "locked/a.nii.gz", "-o", "out"),
        ("convert", "locked/a.csv", "b.csv"), ("convert", "a.csv", "b.json", "--reference", "locked/a.nii.gz"),
        ("convert", "a.csv", "locked/b.csv"), ("convert", "a.csv", "b.dcm", "--reference", "locked/a.nii.gz"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_what_may_not_be_looked_at_is_named(place, capsys, arguments, mode):
    with closed(place / "locked", mode):
        assert "locked" in refused(capsys, *arguments)


@pytest.mark.parametrize("name", ["loop", "pipe.nii.gz"])
def test_a_link_to_itself_and_a_pipe_are_named_and_not_waited_for(place, capsys, name):
    assert name in refused(capsys, "label", name, "-o", "out")
    assert name in refused(capsys, "convert", "a.csv", "b.json", "--reference", name)


def test_a_reference_that_cannot_be_read_does_not_vanish_from_the_judgement(place, capsys):
    for name in ("found/scan", "found/closed", "truth/scan", "truth/closed", "truth/locked/other"):
        (place / f"{name}.csv").parent.mkdir(exist_ok=True)
        write_landmarks(POINTS, place / f"{name}.csv")
    (place / "truth" / "endless.lml").symlink_to("endless.lml")
    with closed(place / "truth" / "locked"), closed(place / "truth" / "closed.csv"):
        assert main(["evaluate", "--predicted", "found", "--reference", "truth"]) == 1
    told = capsys.readouterr().err
    assert "truth/locked: passed over, the folder cannot be read (Permission denied)" in told
    assert "truth/endless.lml: passed over" in told
    assert "truth/closed.csv: expected a" in told
