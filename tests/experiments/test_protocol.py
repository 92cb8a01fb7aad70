import pytest

from experiments.protocol import Fold, leave_one_patient_out, limited
from regforest.datasets import Case
from regforest.errors import DataError, UsageError


class Named(Case):
    def read_channels(self):
        raise NotImplementedError

    def load(self):
        raise NotImplementedError


def cases(*pairs):
    return [Named(name, patient, {}, None) for name, patient in pairs]


def two_folds(size):
    first, second = (tuple(f"{half}{i}" for i in range(size)) for half in "ab")
    return [Fold("1", second, first), Fold("2", first, second)]


def test_all_scans_of_a_patient_are_left_out_together():
    folds = leave_one_patient_out(cases(("01", "p"), ("02", "q"), ("03", "p"), ("04", "r")))
    assert folds == [
        Fold("p", ("02", "04"), ("01", "03")),
        Fold("q", ("01", "03", "04"), ("02",)),
        Fold("r", ("01", "03", "02"), ("04",)),
    ]


def test_a_limit_is_spread_over_the_folds_and_within_each():
    folds = limited(two_folds(10), 5)
    assert [fold.test for fold in folds] == [("a0", "a4", "a9"), ("b0", "b9")]
    assert folds[0].train == ("b0", "b9")
    assert folds[1].train == ("a0", "a4", "a9")


@pytest.mark.parametrize("limit", [None, 20, 99])
def test_a_limit_that_is_no_limit_changes_nothing(limit):
    assert limited(two_folds(10), limit) == two_folds(10)


def test_folds_without_a_case_are_dropped():
    folds = leave_one_patient_out(cases(*((f"{i}{s}", str(i)) for i in range(8) for s in "ab")))
    kept = limited(folds, 4)
    assert [fold.test for fold in kept] == [("0a",), ("1a",), ("2a",), ("3a",)]
    assert kept[0].train == ("1a", "2a", "3a")


def test_one_case_is_too_few():
    with pytest.raises(UsageError, match="at least 2"):
        limited(two_folds(3), 1)


def test_a_single_patient_is_too_few():
    with pytest.raises(DataError, match="two patients"):
        limited(leave_one_patient_out(cases(("01", "p"), ("02", "p"))), None)


def test_no_case_at_all_is_refused():
    with pytest.raises(DataError, match="no case to test"):
        limited([Fold("1", (), ()), Fold("2", (), ())], None)
