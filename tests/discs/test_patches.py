from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regforest.discs.patches import Completion, PatchReader, Projection, columns_shown
from regforest.discs.settings import PatchSettings
from regforest.discs.views import View
from regforest.errors import ModelError
from regforest.spatial import Grid

pytestmark = pytest.mark.without_jit


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 5), st.sampled_from([(6.0,), (4.0, 12.0), (3.0, 20.0)]))
def test_features_are_means_and_deviations_of_blocks_with_a_repeated_edge(
    seed: int, divisions: int, sizes: tuple[float, ...]
) -> None:
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(3, 14, 3))
    voxels = rng.normal(size=(2, *shape)).astype(np.float32)
    view = View(voxels, Grid(shape, np.eye(4)), 1.0)
    points = rng.uniform(-3, 16, (4, 3))
    features = PatchReader(view, PatchSettings(sizes, divisions))(points)
    expected = [_features_slowly(voxels, np.rint(p).astype(int)[::-1], sizes, divisions) for p in points]
    np.testing.assert_allclose(features, expected, atol=2e-4)


def _features_slowly(
    voxels: np.ndarray, index_zyx: np.ndarray, sizes: tuple[float, ...], divisions: int
) -> list[float]:
    def at(channel: np.ndarray, place: np.ndarray) -> float:
        return float(channel[tuple(np.clip(place, 0, np.array(channel.shape) - 1))])

    values = []
    for size in sizes:
        block = max(1, round(size / divisions))
        steps = [round((i - (divisions - 1) / 2) * block) for i in range(divisions)]
        for channel in voxels:
            means, deviations = [], []
            for step in np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3):
                middle = np.clip(index_zyx + step, 0, np.array(channel.shape) - 1)
                inside = [at(channel, middle + o - block // 2) for o in np.ndindex(block, block, block)]
                means.append(np.mean(inside))
                deviations.append(np.std(inside))
            values += means if block == 1 else means + deviations
    return values


def test_projected_features_are_the_principal_components_of_the_features() -> None:
    rng = np.random.default_rng(3)
    shape = (12, 13, 14)
    view = View(rng.normal(size=(1, *shape)).astype(np.float32), Grid(shape, np.eye(4)), 1.0)
    reader = PatchReader(view, PatchSettings((4.0, 8.0), 3))
    points = rng.uniform(0, 12, (700, 3))
    features = reader(points)
    projection = Projection.fit_parts([features[:300], features[300:]], 5, rng)
    centred = features.astype(float) - features.mean(axis=0)
    _, singular, directions = np.linalg.svd(centred, full_matrices=False)
    scale = np.sqrt((singular[:5] ** 2 / len(features)).mean())
    found = reader.projected(points, projection)
    np.testing.assert_allclose(np.abs(found), np.abs(centred @ directions[:5].T / scale), atol=2e-3)
    assert found.tobytes() == projection(features).tobytes()


def test_more_components_than_features_are_as_many_as_there_are() -> None:
    rng = np.random.default_rng(1)
    projection = Projection.fit_parts([rng.normal(size=(40, 6)).astype(np.float16)], 32, rng)
    assert projection.components.shape == (6, 6)
    assert projection(np.zeros((3, 6), np.float32)).std(axis=0) == pytest.approx(np.zeros(6))


def _related_rows(count: int = 3000) -> np.ndarray:
    """Rows of 8 features that 3 hidden numbers drive, in noise."""
    rng = np.random.default_rng(7)
    loadings = rng.normal(size=(3, 8)) * [[4.0], [2.0], [1.0]]
    return (rng.normal(size=(count, 3)) @ loadings + 0.3 * rng.normal(size=(count, 8)) + 5).astype(np.float32)


def test_some_features_tell_of_the_projection_what_the_conditional_gaussian_does() -> None:
    rows, shown = _related_rows(), np.array([1, 0, 1, 1, 0, 0, 1, 0], bool)
    projection = Projection.fit_parts([rows], 3, np.random.default_rng(0))
    centred = rows.astype(float) - rows.mean(axis=0)
    values, vectors = np.linalg.eigh(centred.T @ centred / len(rows))
    values[:5] = values[:5].mean()  # noise: the same along what is left out
    covariance = vectors * values @ vectors.T
    known = np.linalg.solve(covariance[np.ix_(shown, shown)], centred[:, shown].T)
    expected = (projection.components.T @ covariance[:, shown] @ known).T
    found = projection.of_shown(shown)(rows[:, shown])
    np.testing.assert_allclose(found, expected, atol=2e-3)
    assert np.corrcoef(found[:, 0], projection(rows)[:, 0])[0, 1] > 0.99


def test_where_all_features_are_known_the_projection_stays_what_it_is() -> None:
    rows = _related_rows()
    projection = Projection.fit_parts([rows], 3, np.random.default_rng(0))
    np.testing.assert_allclose(projection.of_shown(np.ones(8, bool)).components, projection.components, atol=1e-6)


def test_missing_features_are_completed_near_to_what_they_are_and_known_ones_kept() -> None:
    rows, shown = _related_rows(), np.array([1, 1, 1, 1, 1, 0, 1, 0], bool)
    completion = Completion.fit([rows[:2000]], 3, np.random.default_rng(0))
    assert completion(rows) is rows
    filled = replace(completion, shown=shown)(rows[2000:, shown])
    np.testing.assert_array_equal(filled[:, shown], rows[2000:, shown])
    mean, missing = rows.mean(axis=0), rows[2000:, ~shown]
    regression, *_ = np.linalg.lstsq((rows - mean)[:2000, shown], (rows - mean)[:2000, ~shown], rcond=None)
    least = np.std((rows - mean)[2000:, shown] @ regression + mean[~shown] - missing)
    assert np.std(filled[:, ~shown] - missing) < 1.02 * least < 0.5 * missing.std()


def test_the_system_is_solved_once_for_all_patches_of_a_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, shown = _related_rows(), np.array([1, 1, 1, 1, 1, 0, 1, 0], bool)
    completion = replace(Completion.fit([rows], 3, np.random.default_rng(0)), shown=shown)
    solved, solve = [], Projection.of_shown
    monkeypatch.setattr(Projection, "of_shown", lambda self, known: solved.append(known) or solve(self, known))
    parts = [completion(part[:, shown]) for part in np.split(rows, 4)]
    assert len(solved) == 1
    np.testing.assert_array_equal(np.concatenate(parts), completion(rows[:, shown]))


def test_a_projection_that_does_not_know_its_variances_needs_all_features() -> None:
    projection = Projection(np.zeros(4, np.float32), np.eye(4, 2, dtype=np.float32))
    with pytest.raises(ModelError, match="train it again"):
        projection.of_shown(np.array([True, False, True, True]))


def test_the_columns_of_a_channel_are_those_that_change_with_it() -> None:
    settings_of = PatchSettings((2.0, 6.0, 9.0), 3)
    voxels = np.random.default_rng(2).normal(size=(3, 9, 9, 9)).astype(np.float32)
    changed = voxels * np.array([1, 2, 1], np.float32)[:, None, None, None]
    grid, points = Grid((9, 9, 9), np.eye(4)), np.array([[4.0, 4.0, 4.0], [1.0, 2.0, 3.0]])
    one, other = (PatchReader(View(v, grid, 1.0), settings_of)(points) for v in (voxels, changed))
    np.testing.assert_array_equal(columns_shown(settings_of, 1.0, (False, True, False)), (one != other).any(axis=0))
