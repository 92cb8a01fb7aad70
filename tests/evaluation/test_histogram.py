import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from regforest.evaluation import error_histogram


@given(st.lists(st.floats(0, 1e6)))
def test_every_error_is_counted_once_in_the_bin_that_starts_at_or_below_it(errors):
    found = error_histogram(errors)
    by_hand = [
        sum(low <= e < high for e in errors) for low, high in zip(range(0, 40, 2), range(2, 42, 2), strict=True)
    ]
    assert found["counts"] == by_hand
    assert found["beyond"] == sum(e >= 40 for e in errors)


def test_levels_without_an_error_do_not_count_and_nothing_gives_zeros():
    assert error_histogram([np.nan, 1.0])["counts"][0] == 1
    found = error_histogram([])
    assert (len(found["edges_mm"]), sum(found["counts"]), found["beyond"]) == (21, 0, 0)
