from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.special import logsumexp

from regforest.spatial import LEVELS
from regforest.vertebrae.chain_inference import ChainGraph
from regforest.vertebrae.chain_prior import ARCS, default_chain_prior
from regforest.vertebrae.chain_tables import build_tables
from tests.reference import chain_paths

pytestmark = pytest.mark.without_jit


def small_problem(seed, levels, extra=0, drop=None):
    """A chain over some levels with noise, false candidates among it, and random log-weights."""
    rng = np.random.default_rng(seed)
    prior = default_chain_prior()
    place, points = np.zeros(3), [np.zeros(3)]
    for arc in itertools.pairwise(levels):
        place = place + prior.step_mean_mm[ARCS.index(arc)] + rng.normal(0, 1.5, 3)
        points.append(place)
    points = [p for k, p in enumerate(points) if k != drop]
    points += [points[rng.integers(len(points))] + rng.normal(0, 6, 3) for _ in range(extra)]
    points = np.array(sorted(points, key=lambda p: -p[2]))
    node_log = np.full((len(points), len(LEVELS)), -np.inf)
    columns = [LEVELS.index(name) for name in levels]
    near = np.arange(max(0, columns[0] - 1), min(len(LEVELS), columns[-1] + 2))
    node_log[:, near] = rng.normal(14, 2, (len(points), len(near)))
    return points, node_log, rng.normal(-15, 1, len(LEVELS)), rng.normal(0, 1, len(LEVELS)), prior


PROBLEMS = {
    "lumbar": (0, ("L1", "L2", "L3", "L4"), 0, None),
    "doubled": (1, ("L1", "L2", "L3"), 2, None),
    "gap": (2, ("T10", "T11", "T12", "L1"), 0, 1),
    "T13": (3, ("T11", "T12", "T13", "L1"), 0, None),
    "no T12": (4, ("T10", "T11", "L1", "L2"), 0, None),
    "L6": (5, ("L4", "L5", "L6", "S1"), 1, None),
}


@pytest.fixture(params=PROBLEMS, name="problem")
def problem_fixture(request):
    points, node_log, begin, end, prior = small_problem(*PROBLEMS[request.param])
    paths = chain_paths(points, node_log, begin, end, prior)
    return ChainGraph(points, node_log, begin, end, build_tables(prior), prior), paths


def test_the_sum_over_all_paths_is_that_of_their_enumeration(problem):
    graph, paths = problem
    total, _ = graph.marginals()
    assert len(paths) > 50
    assert total == pytest.approx(logsumexp(list(paths.values())), abs=1e-9)


def test_marginals_are_those_of_the_enumeration(problem):
    graph, paths = problem
    _, marginal = graph.marginals()
    names, logs = np.array([levels for levels, _ in paths]), np.array(list(paths.values()))
    share = np.exp(logs - logsumexp(logs))
    expected = [[share[names[:, i] == column].sum() for column in range(len(LEVELS))] for i in range(names.shape[1])]
    np.testing.assert_allclose(marginal, expected, atol=1e-9)


def test_the_best_path_is_that_of_the_enumeration(problem):
    graph, paths = problem
    best = graph.best_namings()[0]
    top = max(paths, key=paths.get)
    assert best.levels == top[0]
    assert best.log_weight == pytest.approx(paths[top], abs=1e-9)


def test_the_best_contradiction_is_among_the_namings(problem):
    graph, paths = problem
    namings = graph.best_namings()
    best = namings[0].levels

    def contradicts(levels):
        return any(a != b and a >= 0 and b >= 0 for a, b in zip(levels, best, strict=True))

    expected = max(log for (levels, _), log in paths.items() if contradicts(levels))
    assert max(n.log_weight for n in namings if contradicts(n.levels)) == pytest.approx(expected, abs=1e-9)


def test_a_restricted_sum_is_that_of_the_paths_that_keep_to_it(problem):
    graph, paths = problem
    allowed = np.ones(graph.node_log.shape, bool)
    allowed[0] = False
    kept = [log for (levels, _), log in paths.items() if levels[0] < 0]
    assert graph.log_sum(allowed) == pytest.approx(logsumexp(kept), abs=1e-9)


def test_every_naming_found_has_the_weight_of_its_path(problem):
    graph, paths = problem
    for naming in graph.best_namings():
        expected = max(log for (levels, _), log in paths.items() if levels == naming.levels)
        assert naming.log_weight == pytest.approx(expected, abs=1e-9)
