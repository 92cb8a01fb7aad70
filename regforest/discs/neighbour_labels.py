"""Labels of voxels from the training voxels that look most alike at the same place."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regforest.discs.displacement import neighbour_weights
from regforest.discs.nearest import NearestRows, PatchRows
from regforest.discs.patches import PatchReader, Projection
from regforest.discs.settings import DiscSettings
from regforest.discs.training import TrainingRecord

__all__ = ["NeighbourLabels", "cell_counts"]

FloatArray = NDArray[np.float64]
Features = NDArray[np.float32]

_AROUND = np.array(list(itertools.product((-1, 0, 1), repeat=2)))


@dataclass(frozen=True, eq=False)
class NeighbourLabels(PatchRows):
    """Training voxels near the borders of the structures.

    Attributes
    ----------
    projection : Projection
        Of patch features.
    rows : ndarray of float32, shape (T, F + 4)
        Projected features, weighted place and level; sorted by cell of place.
    inside : ndarray of float32, shape (T,)
        1 inside the structure's mask.
    group : ndarray of int, shape (T,)
        Patient of each row, so that a training patient can be judged by the others.
    cell_start : ndarray of int, shape (cells + 1,)
        First row of each cell.
    cells_zyx : ndarray of int, shape (3,)
        Number of cells.
    """

    inside: Features
    group: NDArray[np.int64]
    cell_start: NDArray[np.int64]
    cells_zyx: NDArray[np.int64]

    @classmethod
    def fit(
        cls, records: Sequence[TrainingRecord], levels: Sequence[FloatArray], settings: DiscSettings, seed: int
    ) -> NeighbourLabels:
        """Gather the label samples of records; `levels` holds the structure's number of each sample."""
        parts = [record.label_features for record in records]
        projection = Projection.fit_parts(parts, settings.label_patch.components, np.random.default_rng([seed, 2]))
        positions = np.concatenate([record.label_positions for record in records])
        patients = sorted({record.patient for record in records})
        group = np.concatenate([np.full(len(r.label_inside), patients.index(r.patient)) for r in records])
        inside = np.concatenate([record.label_inside for record in records])
        rows = _rows(
            np.concatenate([projection(part) for part in parts]), positions, np.concatenate(levels), settings
        )
        cells = cell_counts(np.max([record.masks.shape[1:] for record in records], axis=0), settings)
        flat = np.ravel_multi_index(tuple(_cells(positions, cells, settings).T), tuple(cells))
        order = np.argsort(flat, kind="stable")
        start = np.searchsorted(flat[order], np.arange(int(np.prod(cells)) + 1)).astype(np.int64)
        return cls(
            projection, rows[order], inside[order].astype(np.float32), group[order].astype(np.int64), start, cells
        )

    def estimate(
        self, reader: PatchReader, points_mm: FloatArray, positions_mm: FloatArray, level: FloatArray,
        settings: DiscSettings,
    ) -> FloatArray:  # fmt: skip
        """Weighted mean label of the nearest training voxels; 0 where none is near."""
        projected = reader.projected(points_mm, self.projection)
        return self._neighbour_mean(_rows(projected, positions_mm, level, settings), positions_mm, -1, settings)

    def held_out(
        self, records: Sequence[TrainingRecord], levels: Sequence[FloatArray],
        chosen: Sequence[NDArray[np.int64]], settings: DiscSettings, seed: int,
    ) -> list[FloatArray]:  # fmt: skip
        """Estimates for chosen samples of the training records, each from the other patients."""
        patients = sorted({record.patient for record in records})
        estimates = []
        for record, level, own in zip(records, levels, chosen, strict=True):
            positions = record.label_positions[own].astype(np.float64)
            rows = _rows(self.projection(record.label_features[own]), positions, level[own], settings)
            estimates.append(self._neighbour_mean(rows, positions, patients.index(record.patient), settings))
        return estimates

    @cached_property
    def nearest(self) -> NearestRows:
        """The training voxels laid out for the search."""
        return NearestRows.of(self.rows, self.cell_start, self.group)

    def _neighbour_mean(
        self, rows: Features, positions_mm: FloatArray, excluded: int, settings: DiscSettings
    ) -> FloatArray:
        """Search the 27 cells around each voxel."""
        runs = self._runs_around(_cells(positions_mm, self.cells_zyx, settings))
        squared, number = self.nearest(rows, settings.label_joint.neighbours, runs, excluded)
        return np.asarray((neighbour_weights(squared) * self.inside[number]).sum(axis=1))

    def _runs_around(self, cells: NDArray[np.int64]) -> NDArray[np.int64]:
        """Blocks of the 27 cells around each cell (N, 3): nine runs along x, empty beyond the border."""
        depth, height, width = self.cells_zyx
        z, y = (cells[:, axis, None] + _AROUND[:, axis] for axis in (0, 1))
        line = (z * height + y) * width
        runs = np.stack([line + np.maximum(cells[:, 2:] - 1, 0), line + np.minimum(cells[:, 2:] + 2, width)], axis=-1)
        runs[(z < 0) | (z >= depth) | (y < 0) | (y >= height)] = 0
        return np.asarray(self.nearest.cell_blocks[runs])


def _rows(
    projected: Features, positions: NDArray[np.floating], level: FloatArray, settings: DiscSettings
) -> Features:
    place = positions * settings.label_position_weight
    return np.concatenate([projected, place, (settings.level_distance * level)[:, None]], axis=1, dtype=np.float32)


def cell_counts(shape_zyx: ArrayLike, settings: DiscSettings) -> NDArray[np.int64]:
    """Cells along z, y, x that hold masks of a shape and the training voxels around them."""
    extent = np.asarray(shape_zyx) * settings.label_spacing_mm + 2 * settings.label_margin_mm
    return np.asarray(np.ceil(extent / settings.label_search_mm), dtype=np.int64)


def _cells(
    positions_mm: NDArray[np.floating], cells_zyx: NDArray[np.int64], settings: DiscSettings
) -> NDArray[np.int64]:
    cell = np.floor(positions_mm[:, ::-1] / settings.label_search_mm + cells_zyx / 2).astype(np.int64)
    return np.clip(cell, 0, cells_zyx - 1)
