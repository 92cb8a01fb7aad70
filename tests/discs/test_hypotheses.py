from __future__ import annotations

import itertools

import numpy as np
import pytest

from regforest.discs import DiscLocalizer
from regforest.discs.evidence import _mean_appearance, _misfit, _temperature
from regforest.discs.hypotheses import ChainJudge
from regforest.discs.own_views import extended_chain
from regforest.discs.pipeline import DiscPipeline
from regforest.spatial import AnnotatedScan
from tests.discs.synthetic import NAMES, QUICK, make_scan


@pytest.fixture(scope="module")
def scan() -> AnnotatedScan:
    return make_scan(9)


@pytest.fixture(scope="module")
def judge(scan: AnnotatedScan) -> ChainJudge:
    model = DiscLocalizer(QUICK).fit([make_scan(i, masks=False) for i in range(1, 5)])
    pipeline = DiscPipeline(model.learned_, model.settings, model.seed)
    return pipeline.judge(pipeline.scene(scan.channels), {})


def _truth(scan: AnnotatedScan) -> dict[int, np.ndarray]:
    return {s: scan.landmarks[name] for s, name in enumerate(NAMES.values())}


@pytest.mark.parametrize("shift", [-1, 1])
def test_a_chain_that_starts_one_level_off_comes_back(judge: ChainJudge, scan: AnnotatedScan, shift: int) -> None:
    truth = _truth(scan)
    found, probability, _ = judge.judged(judge.shifted(truth, shift))
    assert max(np.linalg.norm(found[s] - truth[s]) for s in truth) < 6
    assert probability[0] == max(probability.values())


def test_two_structures_that_vote_for_one_place_are_kept_apart(judge: ChainJudge, scan: AnnotatedScan) -> None:
    start = _truth(scan)
    start[3] = start[2] + [1.0, 0.0, -12.0]  # L5 looks mostly at L4
    refined, _ = judge.refined(start)
    steps = [np.linalg.norm(refined[a] - refined[b]) for a, b in itertools.pairwise(sorted(refined))]
    assert min(steps) > 20


def test_few_patients_make_the_log_odds_small_and_their_disagreement_too() -> None:
    odds = np.full(8, 12.0)
    assert _temperature(odds, 40) == pytest.approx(12 / 6, rel=0.1)
    assert _temperature(odds, 2) == pytest.approx(3 * 12 / 6)
    assert _temperature(np.array([2.0, 12, 12, 30]), 40) > 2 * _temperature(odds, 40)


def test_a_shifted_chain_that_falls_back_is_judged_as_it_started(
    judge: ChainJudge, scan: AnnotatedScan, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth = _truth(scan)
    start = judge.shifted(truth, 1)
    origin = judge._hypothesis(truth, None)
    monkeypatch.setattr(ChainJudge, "refined", lambda self, chain: (truth, dict.fromkeys(chain, 0.5)))
    fallen = judge._hypothesis(start, origin)
    assert all((fallen.chain[s] == start[s]).all() for s in start)
    assert judge._hypothesis(truth, None).chain == truth  # the first chain may go wherever its votes lead


def test_the_right_place_fits_better_than_its_neighbours_ends_included(
    judge: ChainJudge, scan: AnnotatedScan
) -> None:
    truth = _truth(scan)
    here, up, down = (sum(judge.misfit(judge.shifted(truth, k)).values()) for k in (0, -1, 1))
    assert sorted(judge.misfit(truth)) == list(range(len(NAMES) + 2))
    assert here < min(up, down)


def test_appearance_is_compared_without_contrast_and_over_the_scans_that_show_a_place() -> None:
    known = np.random.default_rng(0).normal(size=(3, 2, 4, 5)).astype(np.float32)
    known[:, 1] = np.nan
    known[0, 0] = np.nan
    mean = _mean_appearance(known)
    np.testing.assert_allclose(mean[0], known[1:, 0].mean(axis=0), rtol=1e-6)
    misfit = _misfit(mean, np.stack([3 * mean[0], np.ones((4, 5), np.float32)]))
    assert misfit[0] == pytest.approx(0, abs=1e-6)
    assert np.isnan(misfit[1])  # no training scan shows it: no evidence


def test_a_chain_goes_on_beyond_its_ends_by_its_last_steps() -> None:
    points = np.array([[0.0, 0, 60], [0, 2, 28], [0, 6, -8]])
    ends = extended_chain(points, 2)
    np.testing.assert_allclose(ends[[0, 1, 5, 6], 1], [-4, -2, 10, 14])
    np.testing.assert_allclose(ends[[0, 1, 5, 6], 2], [124, 92, -44, -80])
    np.testing.assert_array_equal(ends[2:-2], points)
