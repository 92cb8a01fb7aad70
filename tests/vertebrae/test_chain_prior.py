from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import regforest.datasets.phantoms as phantoms
from regforest.errors import DataError
from regforest.spatial import PAPER_LEVELS, Landmarks
from regforest.vertebrae.chain_prior import ARCS, ChainPrior, default_chain_prior, fit_chain_prior


def table_rows():
    path = Path(phantoms.__file__).parent / "level_offsets.csv"
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return {(r["source"], r["upper"], r["lower"]): r for r in csv.DictReader(lines)}


def sampled_chains(count, first="T8", last="L5", seed=0):
    rng = np.random.default_rng(seed)
    names = PAPER_LEVELS[PAPER_LEVELS.index(first) : PAPER_LEVELS.index(last) + 1]
    chains = []
    for _ in range(count):
        points, place = {}, rng.normal(0, 50, 3)
        for k, name in enumerate(names):
            if k:
                place = place + np.array([0, -5.0 + 0.5 * k, -25.0 - k]) + rng.normal(0, 2, 3)
            points[name] = place
        chains.append(Landmarks(points))
    return chains


def test_the_shipped_steps_are_the_mean_of_both_tables_and_of_A_where_B_must_not_be_pooled():
    rows, prior = table_rows(), default_chain_prior()
    for upper, lower, sources in (("L2", "L3", "AB"), ("T5", "T6", "AB"), ("C2", "C3", "A"), ("L5", "S1", "A")):
        values = [[float(rows[s, upper, lower][k]) for k in ("dy", "dz")] for s in sources]
        step = prior.step_mean_mm[ARCS.index((upper, lower))]
        np.testing.assert_allclose(step[1:], np.mean(values, axis=0), atol=2e-3)


def test_covariances_of_the_shipped_prior_are_positive_definite():
    assert np.linalg.eigvalsh(default_chain_prior().step_covariance_mm2).min() > 0.5


def test_a_fit_finds_the_steps_that_the_chains_were_drawn_with():
    prior = fit_chain_prior(sampled_chains(400))
    arc = ARCS.index(("L1", "L2"))  # the sixth step from T8
    np.testing.assert_allclose(prior.step_mean_mm[arc], [0, -2.0, -31.0], atol=0.6)
    np.testing.assert_allclose(np.diag(prior.step_covariance_mm2[arc]), [4, 4, 4], atol=1.6)
    assert np.abs(prior.step_correlation).max() < 0.15  # they were drawn independently


def test_steps_never_seen_keep_the_default():
    prior, default = fit_chain_prior(sampled_chains(20)), default_chain_prior()
    arc = ARCS.index(("C3", "C4"))
    np.testing.assert_array_equal(prior.step_mean_mm[arc], default.step_mean_mm[arc])


def test_the_ends_of_annotations_say_nothing_about_those_of_detections():
    prior, default = fit_chain_prior(sampled_chains(20)), default_chain_prior()
    np.testing.assert_array_equal(prior.start_log, default.start_log)
    np.testing.assert_array_equal(prior.end_log, default.end_log)


def test_the_share_of_spines_with_L6_is_learned_from_many_and_hardly_moved_by_few():
    chains = sampled_chains(30)
    with_six = [Landmarks({**{n: c[n] for n in c}, "L6": c["L5"] + [0, 5, -33]}) for c in chains]
    usual = default_chain_prior().rare_probability["L5>L6"]
    assert fit_chain_prior((chains + with_six) * 100).rare_probability["L5>L6"] == pytest.approx(0.5, abs=0.03)
    assert fit_chain_prior(chains).rare_probability["L5>L6"] == pytest.approx(usual, rel=0.1)
    assert fit_chain_prior(chains + with_six[:2]).rare_probability["L5>L6"] < 2 * usual


def test_an_annotation_with_a_hole_contributes_no_step_over_it():
    chains = [Landmarks({n: c[n] for n in c if n != "L1"}) for c in sampled_chains(30)]
    prior, default = fit_chain_prior(chains), default_chain_prior()
    for arc in (("T12", "L1"), ("L1", "L2")):
        np.testing.assert_array_equal(prior.step_mean_mm[ARCS.index(arc)], default.step_mean_mm[ARCS.index(arc)])


def test_a_prior_survives_json():
    prior = replace(fit_chain_prior(sampled_chains(5)), freedom=4.5)
    again = ChainPrior.from_dict(json.loads(json.dumps(prior.to_dict())))
    assert again.freedom == 4.5
    np.testing.assert_array_equal(again.step_covariance_mm2, prior.step_covariance_mm2)


def test_chains_without_neighbours_are_refused():
    with pytest.raises(DataError, match="annotated neighbours"):
        fit_chain_prior([{"L1": (0, 0, 0), "L4": (0, 0, -100)}])


def test_a_damaged_prior_is_refused():
    values = default_chain_prior().to_dict()
    with pytest.raises(DataError, match="step_mean_mm"):
        ChainPrior.from_dict({**values, "step_mean_mm": values["step_mean_mm"][:3]})
    with pytest.raises(DataError, match="not a chain prior"):
        ChainPrior.from_dict({k: v for k, v in values.items() if k != "end_log"})
