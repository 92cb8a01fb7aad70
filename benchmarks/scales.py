"""How large the benchmarks are: in full, and tiny ones for a smoke test."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["FULL", "QUICK", "SCALES", "Scale"]


@dataclass(frozen=True)
class Scale:
    """Sizes of all inputs; one object, so that what is cached can be named after it."""

    name: str
    scans: int  # phantoms; the last quarter is held out
    matrix: int
    rows: int
    held_out_rows: int
    features: int
    regression_rows: int
    regression_features: int
    trees: int
    depth: int
    spacing_mm: float
    memory_voxels: int
    gather_planes: int  # planes that the slowest peer is timed on
    integral_edge: int
    dense_shape: tuple[int, int, int]
    resampling_shape: tuple[int, int, int]
    copied_mb: int
    scans_coarse: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


FULL = Scale(
    name="full", scans=48, matrix=128, rows=100_000, held_out_rows=40_000, features=500, regression_rows=60_000,
    regression_features=300, trees=16, depth=20, spacing_mm=3.0, memory_voxels=6_000_000, gather_planes=8,
    integral_edge=256, dense_shape=(128, 128, 128), resampling_shape=(200, 512, 512), copied_mb=256, scans_coarse=4,
)  # fmt: skip

QUICK = Scale(
    name="quick", scans=4, matrix=32, rows=1500, held_out_rows=500, features=40, regression_rows=800,
    regression_features=30, trees=4, depth=8, spacing_mm=8.0, memory_voxels=30_000, gather_planes=4,
    integral_edge=32, dense_shape=(16, 16, 16), resampling_shape=(10, 64, 64), copied_mb=8, scans_coarse=1,
)  # fmt: skip

SCALES = {scale.name: scale for scale in (FULL, QUICK)}
