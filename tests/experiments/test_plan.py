import pytest

from experiments.plan import _channels, _check_test_channels, _with_channels
from regforest.datasets import Case
from regforest.errors import DataError, UsageError
from tests.discs.synthetic import make_scan


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


def test_channels_to_test_with_must_be_among_those_of_training(tmp_path):
    scans = cases(tmp_path, "fat wat", "fat wat")
    _check_test_channels(scans, (), ("wat",))
    with pytest.raises(UsageError, match="--test-channels: inn not among those of training: fat, wat"):
        _check_test_channels(scans, (), ("wat", "inn"))
    with pytest.raises(UsageError, match="wat not among those of training: fat"):
        _check_test_channels(scans, ("fat",), ("wat",))


def test_a_scan_keeps_the_channels_that_are_wanted_in_their_order():
    scan = make_scan(1, channels=2)
    assert list(_with_channels(scan, ("water", "fat")).channels) == ["water", "fat"]
    assert _with_channels(scan, ()) is scan
    with pytest.raises(DataError, match="case1: no channel inn; it has fat, water"):
        _with_channels(scan, ("inn",))
