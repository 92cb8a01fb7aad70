from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from regforest.discs.chain import StepModel, best_chain
from tests.reference import best_chain_by_enumeration

NAMES = ("L1", "L2", "L3", "L4")


def _model(seed: int = 0) -> StepModel:
    rng = np.random.default_rng(seed)
    chains = []
    for _ in range(6):
        steps = rng.normal([0.0, 2.0, -34.0], [1.0, 2.0, 3.0], (4, 3))
        chains.append(dict(zip(NAMES, np.cumsum(steps, axis=0), strict=True)))
    return StepModel.fit(NAMES, chains)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 100_000))
def test_the_dynamic_programme_finds_the_best_of_all_chains(seed: int) -> None:
    rng = np.random.default_rng(seed)
    steps = _model(seed % 5)
    candidates = [rng.normal([0, 0, -34.0 * s], 8, (rng.integers(0, 4), 3)) for s in range(4)]
    scores = [rng.normal(-1, 2, len(c)) for c in candidates]
    chosen, total = best_chain(candidates, scores, steps, floor_mm=4.0, absent_log_score=-3.0)
    expected_total = best_chain_by_enumeration(
        candidates, scores, lambda s, a, b: float(steps.log_score(s, a[None], b[None], 4.0)[0, 0]), -3.0
    )
    assert np.isclose(total, expected_total)
    present = [s for s, c in enumerate(chosen) if c is not None]
    assert present == list(range(present[0], present[-1] + 1)) if present else True


def test_the_step_score_is_the_mahalanobis_length_by_hand() -> None:
    model = StepModel(("L1", "L2"), np.array([[0.0, 0.0, -30.0]]), np.diag([4.0, 4.0, 12.0])[None])
    score = model.log_score(0, np.zeros((1, 3)), np.array([[2.0, 0.0, -38.0]]), floor_mm=2.0)
    assert np.isclose(score[0, 0], -0.5 * (4 / 8 + 64 / 16))


def test_the_step_score_is_never_capped() -> None:
    far = _model().log_score(0, np.zeros((1, 3)), np.array([[0, 0, 80.0], [0, 0, 800.0]]), 4.0)
    assert far[0, 1] < 30 * far[0, 0] < 0


def test_steps_of_few_patients_keep_a_usable_covariance() -> None:
    one = StepModel.fit(("L1", "L2", "L3"), [{"L1": np.zeros(3), "L2": np.array([0, 0, -30.0])}])
    assert np.isfinite(one.mean_mm).all()
    np.testing.assert_allclose(one.mean_mm[1], [0, 0, -30.0])  # L2 -> L3 was never seen
    assert np.isfinite(one.log_score(1, np.zeros((1, 3)), np.ones((1, 3)), 4.0)).all()


def test_structures_out_of_view_are_left_out_at_the_end() -> None:
    steps = StepModel(NAMES, np.tile([0.0, 0.0, -30.0], (3, 1)), np.tile(np.eye(3), (3, 1, 1)))
    candidates = [np.array([[0.0, 0.0, -30.0 * s]]) for s in range(4)]
    scores = [np.array([v]) for v in (0.0, 0.0, 0.0, -9.0)]
    chosen, total = best_chain(candidates, scores, steps, floor_mm=4.0, absent_log_score=-5.0)
    assert chosen == [0, 0, 0, None]
    assert total == -5.0


def test_no_candidates_give_an_empty_chain() -> None:
    nothing = [np.empty((0, 3))] * 4
    chosen, _ = best_chain(nothing, [np.empty(0)] * 4, _model(), floor_mm=4.0, absent_log_score=-5.0)
    assert chosen == [None] * 4
