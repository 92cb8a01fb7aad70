import io
from pathlib import Path

import pytest

from regforest.datasets import Dataset, announce_terms
from regforest.datasets.terms import IVDM3SEG, SPINE_CT


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("REGFOREST_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def said(layout, terms):
    stream = io.StringIO()
    data = Dataset(
        "d", layout, Path("d"), (), terms=terms.terms if terms else "", citation=terms.citation if terms else ""
    )
    announce_terms(data, stream)
    return stream.getvalue()


def test_terms_are_shown_at_the_first_use_of_each_data_set_and_then_no_more(capsys):
    first = said("spine-ct", SPINE_CT)
    assert SPINE_CT.terms in first
    assert SPINE_CT.citation in first
    assert said("spine-ct", SPINE_CT) == ""
    assert IVDM3SEG.terms in said("ivdm3seg", IVDM3SEG)
    assert capsys.readouterr() == ("", "")


def test_data_without_terms_show_nothing_and_leave_no_trace(cache):
    assert said("labelled-folder", None) == ""
    assert not cache.exists()


def test_they_go_to_stderr(capsys):
    announce_terms(Dataset("d", "spine-ct", Path("d"), (), terms=SPINE_CT.terms))
    captured = capsys.readouterr()
    assert (captured.out, SPINE_CT.terms in captured.err) == ("", True)


def test_a_home_that_cannot_be_written_only_shows_them_again(cache):
    cache.write_text("a file where the folder should be")
    assert said("spine-ct", SPINE_CT)
    assert said("spine-ct", SPINE_CT)
