import numpy as np
import pytest

from regforest.vertebrae.chain_prior import ARCS, ChainPrior, default_chain_prior
from tools.make_chain_prior import TARGET, chain_prior_text, make_chain_prior


@pytest.fixture(scope="module")
def prior() -> ChainPrior:
    return make_chain_prior()


def test_the_shipped_prior_is_what_the_tables_give_byte_for_byte():
    assert TARGET.read_bytes() == chain_prior_text().encode()


def test_the_package_reads_the_same_prior_back(prior):
    assert default_chain_prior().to_dict() == prior.to_dict()


def test_a_step_of_both_sources_is_their_equal_mixture(prior):
    # the table's rows L2,L3: A (0.47, -6.66, -33.91) with cyy 22.58, cyz -0.78; B (0.46, -8.05, -34.44) with
    # 16.94, -2.23; the means differ from their middle by 0.695 along y and 0.265 along z
    arc = ARCS.index(("L2", "L3"))
    assert prior.step_mean_mm[arc].tolist() == [0.0, -7.355, -34.175]
    assert prior.step_covariance_mm2[arc, 1, 1] == pytest.approx((22.58 + 16.94) / 2 + 0.695**2, abs=6e-4)
    assert prior.step_covariance_mm2[arc, 2, 1] == pytest.approx((-0.78 - 2.23) / 2 + 0.695 * 0.265, abs=6e-4)
    assert np.array_equal(prior.step_covariance_mm2, prior.step_covariance_mm2.swapaxes(1, 2))


def test_the_neck_comes_from_source_a_alone_because_the_sources_place_c2_differently(prior):
    arc = ARCS.index(("C2", "C3"))
    assert prior.step_mean_mm[arc].tolist() == [0.0, 2.1, -17.45]
    assert prior.step_covariance_mm2[arc].tolist() == [[2.44, 0.48, 0.06], [0.48, 12.23, 1.43], [0.06, 1.43, 7.06]]


def test_an_unusual_step_stands_in_with_the_usual_one(prior):
    for arc, usual in ((("L5", "L6"), ("L4", "L5")), (("T13", "L1"), ("T12", "L1")), (("T11", "L1"), ("T11", "T12"))):
        assert np.array_equal(prior.step_mean_mm[ARCS.index(arc)], prior.step_mean_mm[ARCS.index(usual)])


def test_correlations_are_means_over_the_sources(prior):
    assert prior.step_correlation.shape == (3, 3)
    assert prior.step_correlation[2, 2] == pytest.approx((0.31 + 0.54) / 2, abs=6e-4)  # lag 3 along z
