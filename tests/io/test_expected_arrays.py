import numpy as np
import pytest

from regforest.errors import ModelError
from regforest.io.expected_arrays import Expected, check_arrays

EXPECTED = {
    "rows": Expected("f4", ("T", "K")),
    "group": Expected("i8", ("T",), 0, 9),
    "steps": Expected("f8", ("S", 3)),
}
GOOD = {"rows": np.ones((4, 2), "f4"), "group": np.arange(4), "steps": np.zeros((0, 3))}


def test_arrays_as_expected_pass():
    check_arrays(GOOD, EXPECTED, {"S": 0, "K": 2})
    check_arrays({"a": np.array([np.nan, 1])}, {"a": Expected("f8", (2,), or_nan=True)}, {})


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("rows", None), ("rows", [[1.0]]), ("rows", np.ones((4, 2))), ("rows", np.ones((4, 3), "f4")),
        ("rows", np.ones(4, "f4")), ("rows", np.full((4, 2), np.nan, "f4")),
        ("rows", np.full((4, 2), np.inf, "f4")),
        ("group", np.arange(3)), ("group", np.arange(4) - 1), ("group", np.arange(4) + 9),
        ("steps", np.zeros((1, 3))),
    ],
)  # fmt: skip
def test_anything_else_is_named(name, wrong):
    with pytest.raises(ModelError, match=f"array {name}: expected"):
        check_arrays(GOOD | {name: wrong}, EXPECTED, {"S": 0, "K": 2})


def test_an_axis_of_unknown_length_holds_something():
    with pytest.raises(ModelError, match="shape"):
        check_arrays({"a": np.zeros((0, 2), "f4")}, {"a": Expected("f4", ("T", 2))}, {})
