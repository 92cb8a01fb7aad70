from dataclasses import asdict

import numpy as np
import pytest

from regforest.vertebrae import BaselineSettings


@pytest.mark.parametrize(
    "wrong",
    [
        {"trees": 0},
        {"stride": 0},
        {"near_offset_mm": 0.0},
        {"spacing_mm": np.nan},
        {"near_box_size_mm": (9.0, 3.0)},
        {"votes": 0},
        {"passes": 0},
    ],
)
def test_settings_that_nothing_can_be_learned_with_are_refused_at_once(wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=f"{name} must be"):
        BaselineSettings(**wrong)


def test_settings_survive_the_way_through_a_file():
    settings = BaselineSettings.quick()
    values = asdict(settings)
    values["box_size_mm"] = list(values["box_size_mm"])
    assert BaselineSettings.from_dict(values) == settings
    with pytest.raises(TypeError):
        BaselineSettings.from_dict(values | {"trunks": 3})
