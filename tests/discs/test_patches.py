from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regforest.discs.patches import PatchReader, Projection
from regforest.discs.settings import PatchSettings
from regforest.discs.views import View
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
