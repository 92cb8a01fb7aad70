"""Summed-volume table and dense features, against numpy, scipy and the memory's bandwidth."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks import calls, data
from benchmarks.rows import Goal, Row, comparison
from benchmarks.scales import Scale
from benchmarks.session import Session
from benchmarks.timing import Work
from regforest.features import BoxFeatures, IntegralVolume

__all__ = ["our_box", "our_dense", "our_table", "run_dense", "run_integral"]

_INTEGRAL = Goal(12, 25)
_WANTED, _AT_BANDWIDTH = 600.0, 30.0  # M features/s where memcpy moves 30 GB/s
_DENSE_FEATURES = 64
_BOX_MM = 15.0


def our_table(scale: Scale, jobs: str = "1") -> Work:
    """Prepare our side of the summed-volume table."""
    voxels, padding = _cube(scale), _padding(scale)
    return partial(IntegralVolume.build, voxels, padding, n_jobs=int(jobs))


def our_dense(scale: Scale) -> Work:
    """Prepare our side of the dense features: a slab at a time, as they are used."""
    boxes = data.pool(scale, _DENSE_FEATURES).compile(scale.spacing_mm)
    integral = boxes.integrate([_noise(scale.dense_shape)])
    return lambda: [calls.dense_slab(boxes, integral, z, z + 4).size for z in range(0, scale.dense_shape[0], 4)]


def our_box(scale: Scale) -> Work:
    """Prepare our side of one box mean everywhere, summed-volume table included."""
    voxels, pool = _noise(scale.dense_shape), _one_box()
    return partial(pool.evaluate_dense, [voxels], 1.0)


def run_integral(session: Session) -> Iterator[Row]:
    """The table of an edge-padded volume."""
    scale = session.scale
    voxels, padding = _cube(scale), _padding(scale)
    assert np.array_equal(our_table(scale)().table[0], _numpy_table(voxels, padding))
    for threads in (1, 2):
        what = f"integral volume, int16 {scale.integral_edge}^3, padding {padding[0]}, {threads} thread(s)"
        work = our_table(scale, str(threads))
        pairs = session.pairs(what, work, partial(_numpy_table, voxels, padding))
        yield comparison(
            what, "numpy: pad, three cumsums in int32", pairs, goal=_INTEGRAL, threads=threads,
            peak_memory_mb=session.peak(our_table, str(threads)), note="equal to the bit; numpy uses one thread",
        )  # fmt: skip


def run_dense(session: Session) -> Iterator[Row]:
    """Features of every voxel on one core, beside memcpy."""
    scale = session.scale
    source = np.ones(scale.copied_mb * 125_000, np.float64)
    pairs = session.pairs(
        "dense features and memcpy", our_dense(scale), partial(np.copyto, np.empty_like(source), source)
    )
    count = _DENSE_FEATURES * float(np.prod(scale.dense_shape))
    speeds = [count / seconds / 1e6 for seconds in pairs.ours]
    copied = [2 * source.nbytes / seconds / 1e9 for seconds in pairs.peer]
    moved = _bytes_per_feature(scale)
    shares = tuple(s * moved / 1e3 / c for s, c in zip(speeds, copied, strict=True))
    speed, memcpy = statistics.median(speeds), statistics.median(copied)
    wanted = _WANTED * memcpy / _AT_BANDWIDTH
    what = f"dense features, {_DENSE_FEATURES} of {'x'.join(map(str, scale.dense_shape))} voxels, one core"
    yield Row(
        what, ours=statistics.median(pairs.ours), value=speed, unit="M features/s", goal=Goal(wanted), threads=1,
        peak_memory_mb=session.peak(our_dense),
        note=f"the goal is 600 M/s scaled by memcpy's {memcpy:.1f} GB/s (bytes read and written) over 30 GB/s",
    )  # fmt: skip
    yield Row(
        "dense features, bytes read and written, against memcpy's", peer_name="memcpy of "
        f"{scale.copied_mb} MB", ours=statistics.median(pairs.ours), peer=statistics.median(pairs.peer),
        ratios=shares, goal=Goal(0.9), threads=1,
        note=f"{moved:.0f} bytes a feature: 8 corners x 4 read for each box, 4 written for each box and 4 read again "
        "for a second box; caches serve part of them",
    )  # fmt: skip
    yield _one_box_row(session)


def _one_box_row(session: Session) -> Row:
    voxels = _noise(session.scale.dense_shape)
    size = int(_BOX_MM)
    smooth = partial(ndimage.uniform_filter, voxels, size, output=np.float32, mode="nearest")
    work = our_box(session.scale)
    assert np.allclose(work()[0], smooth(), atol=0.01)
    pairs = session.pairs("one box mean everywhere", work, smooth)
    return comparison(
        f"one box mean, {size}^3 voxels, summed-volume table included",
        "scipy.ndimage.uniform_filter",
        pairs,
        threads=1,
    )


def _one_box() -> BoxFeatures:
    return BoxFeatures(np.zeros((1, 2, 3)), np.full((1, 2, 3), _BOX_MM), np.array([[0, -1]]))  # type: ignore[arg-type]


def _bytes_per_feature(scale: Scale) -> float:
    """Mean over the pool, as the kernel goes: a second box reads what the first has written."""
    second = float((data.pool(scale, _DENSE_FEATURES).channels[:, 1] >= 0).mean())
    return (8 * 4 + 4) + second * (8 * 4 + 4 + 4)


def _padding(scale: Scale) -> tuple[int, int, int]:
    """What the pool of the vertebra pipeline needs on its grid of 3 mm, no more than an eighth of the volume."""
    z, y, x = (min(n, scale.integral_edge // 8) for n in data.pool(scale).padding_zyx(3.0))
    return z, y, x


def _cube(scale: Scale) -> NDArray[np.int16]:
    return _noise((scale.integral_edge,) * 3)


def _noise(shape: tuple[int, ...]) -> NDArray[np.int16]:
    return np.random.default_rng(0).integers(-1024, 3072, shape, np.int16)


def _numpy_table(voxels: NDArray[np.int16], padding: tuple[int, int, int]) -> NDArray[np.int32]:
    """The table as one writes it with numpy."""
    padded = np.pad(voxels, [(n, n) for n in padding], mode="edge")
    table = np.zeros([n + 1 for n in padded.shape], np.int32)
    inner: Any = table[1:, 1:, 1:]
    np.cumsum(padded, axis=2, dtype=np.int32, out=inner)
    np.cumsum(inner, axis=1, out=inner)
    np.cumsum(inner, axis=0, out=inner)
    return table
