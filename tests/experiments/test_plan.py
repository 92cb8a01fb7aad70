import pytest

from experiments.plan import _channels
from regforest.datasets import Case
from regforest.errors import UsageError


class Named(Case):
    def read_channels(self):
        raise NotImplementedError

    def load(self):
        raise NotImplementedError


def cases(tmp_path, *channels):
    return [
        Named(f"c{i}", f"p{i}", {name: tmp_path / f"{name}.nii" for name in own.split()}, None)
        for i, own in enumerate(channels)
    ]


def test_all_channels_are_read_where_scans_agree_whatever_their_order(tmp_path):
    assert _channels(cases(tmp_path, "fat wat", "wat fat"), ()) == ((), [])


def test_scans_that_differ_are_read_with_the_channels_that_most_have_and_it_is_said(tmp_path):
    chosen, notes = _channels(cases(tmp_path, "fat wat", "wat fat", "fat", "fat wat inn"), ())
    assert set(chosen) == {"fat", "wat"}
    assert "3 of 4 scans" in notes[0]
    assert "--channels" in notes[0]


def test_a_choice_is_kept_and_one_that_no_scan_has_is_refused(tmp_path):
    scans = cases(tmp_path, "fat wat", "fat")
    assert _channels(scans, ("fat",)) == (("fat",), [])
    with pytest.raises(UsageError, match="known: fat, wat"):
        _channels(scans, ("inn",))
