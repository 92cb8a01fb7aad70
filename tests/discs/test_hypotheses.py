from __future__ import annotations

import itertools

import numpy as np
import pytest

from regforest.discs import DiscLocalizer
from regforest.discs.evidence import _temperature
from regforest.discs.hypotheses import ChainJudge
from regforest.spatial import AnnotatedScan
from tests.discs.synthetic import NAMES, QUICK, make_scan


@pytest.fixture(scope="module")
def scan() -> AnnotatedScan:
    return make_scan(9)


@pytest.fixture(scope="module")
def judge(scan: AnnotatedScan) -> ChainJudge:
    model = DiscLocalizer(QUICK).fit([make_scan(i, masks=False) for i in range(1, 5)])
    return model._judge(model._scene(scan.image), {}, 1)


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
