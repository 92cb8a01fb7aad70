from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from regforest._limits import check_limits, checked_seed

LIMITS = {"trees": (1, 10), "spacing_mm": (0.5, 20), "range_mm": (0, 9), "turns_deg": (-10, 10)}


@dataclass(frozen=True)
class Some:
    trees: int = 3
    spacing_mm: float = 2.0
    range_mm: tuple[float, float] = (1.0, 2.0)
    turns_deg: tuple[float, ...] = (0.0, -10.0, 10)


@pytest.mark.parametrize("given", [{}, {"trees": np.int64(10)}, {"spacing_mm": 1}, {"turns_deg": (1.0,)}])
def test_numbers_within_limits_pass(given):
    check_limits(Some(**given), LIMITS)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("trees", 0), ("trees", 11), ("trees", 2.0), ("trees", True), ("trees", "2"), ("spacing_mm", float("nan")),
        ("spacing_mm", float("inf")), ("spacing_mm", None), ("range_mm", (1.0,)), ("range_mm", (1.0, 99.0)),
        ("range_mm", [1.0, 2.0]), ("turns_deg", ()), ("turns_deg", (0.0,) * 33), ("turns_deg", (None,)),
    ],
)  # fmt: skip
def test_anything_else_is_named(name, value):
    with pytest.raises(ValueError, match=f"{name} must be .* from .* to"):
        check_limits(Some(**{name: value}), LIMITS)


@pytest.mark.parametrize("seed", [-1, 2**63, 1.0, "1", None, True])
def test_a_seed_is_a_whole_number(seed):
    assert checked_seed(2**63 - 1) == 2**63 - 1
    with pytest.raises(ValueError, match="seed must be a whole number"):
        checked_seed(seed)
