"""Segmentation by the same joint estimate: probability from training voxels that look alike at the same place.

Each structure is seen in its own view (centred, turned along the chain, scaled). The probability of a voxel is the
weighted mean label of its neighbours in the training data; a logistic model joins it with the prior of position;
the joint solve makes it smooth on the voxel grid where the image is. The threshold is learned on training patients,
each judged by the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from sklearn.linear_model import LogisticRegression

from regforest.discs.displacement import Links, nearest_rows, neighbour_weights, solve_joint
from regforest.discs.patches import PatchReader, Projection
from regforest.discs.settings import DiscSettings
from regforest.discs.training import TrainingRecord
from regforest.discs.views import View

__all__ = ["LabelModel", "cell_counts"]

FloatArray = NDArray[np.float64]
Features = NDArray[np.float32]

_SURE = 0.004
_CHECKED_SAMPLES = 24_000  # over all records
_EQUAL_DICE = 0.002  # thresholds that differ by less are equally good: the curve is flat and its maximum noise


@dataclass(frozen=True, eq=False)
class LabelModel:
    """What is learned for the segmentation.

    Attributes
    ----------
    projection : Projection
        Of patch features.
    rows : ndarray of float32, shape (T, F + 4)
        Training voxels: projected features, weighted place and level; sorted by cell of place.
    inside : ndarray of float32, shape (T,)
        1 inside the structure's mask.
    group : ndarray of int, shape (T,)
        Patient of each row, so that a training patient can be judged by the others.
    cell_start : ndarray of int, shape (cells + 1,)
        First row of each cell.
    cells_zyx : ndarray of int, shape (3,)
        Number of cells.
    prior : ndarray of float32, shape (S, z, y, x)
        Mean mask of each structure in its own view.
    combination : ndarray, shape (3,)
        Logistic weights: logit of the estimate, logit of the prior, constant.
    threshold : float
        Probability from which a voxel belongs to the structure.
    """

    projection: Projection
    rows: Features
    inside: Features
    group: NDArray[np.int64]
    cell_start: NDArray[np.int64]
    cells_zyx: NDArray[np.int64]
    prior: Features
    combination: FloatArray
    threshold: float

    @classmethod
    def fit(
        cls, records: Sequence[TrainingRecord], names: Sequence[str], settings: DiscSettings, seed: int
    ) -> LabelModel:
        """Learn from records that hold masks; patients judge each other for the combination and the threshold."""
        rng = np.random.default_rng([seed, 2])
        patients = sorted({record.patient for record in records})
        group = np.concatenate([np.full(len(r.label_inside), patients.index(r.patient)) for r in records])
        level = np.concatenate([_levels(r, names)[r.label_structure] for r in records])
        parts = [r.label_features for r in records]
        positions = np.concatenate([r.label_positions for r in records])
        inside = np.concatenate([r.label_inside for r in records])
        projection = Projection.fit_parts(parts, settings.label_patch.components, rng)
        masks, members = _aligned_masks(records, names)
        prior = _mean_masks(masks, members, range(len(records)))
        rows = _rows(np.concatenate([projection(part) for part in parts]), positions, level, settings)
        cells = cell_counts(prior, settings)
        flat = np.ravel_multi_index(tuple(_cells(positions, cells, settings).T), tuple(cells))
        order = np.argsort(flat, kind="stable")
        start = np.searchsorted(flat[order], np.arange(int(np.prod(cells)) + 1)).astype(np.int64)
        model = cls(
            projection, rows[order], inside[order].astype(np.float32), group[order].astype(np.int64),
            start, cells, prior, np.array([1.0, 0.0, 0.0]), 0.45,
        )  # fmt: skip
        if len(patients) < 2:
            return model
        return model._with_combination(records, names, patients, masks, members, settings, rng)

    def estimate(
        self, projected: Features, positions_mm: FloatArray, level: FloatArray, settings: DiscSettings,
        excluded: int = -1,
    ) -> FloatArray:  # fmt: skip
        """Weighted mean label of the nearest training voxels, without those of one patient; 0 where none is near."""
        rows = _rows(projected, positions_mm.astype(np.float32), level, settings)
        return self._neighbour_mean(rows, positions_mm, excluded, settings)

    def probability(self, view: View, structure: int, settings: DiscSettings) -> Features:
        """Probability of one structure on the block of its prior, in the middle of its own view."""
        prior = self.prior[structure]
        likely = ndimage.gaussian_filter(prior, 2.0 / settings.label_spacing_mm, mode="constant")
        unsure = (likely > _SURE) & (likely < 1 - _SURE)
        index = np.argwhere(unsure)
        if len(index) == 0:
            return np.asarray(prior)
        half = (np.asarray(prior.shape) - 1) / 2
        positions = (index - half)[:, ::-1] * settings.label_spacing_mm
        parity = index % 2  # a quarter of the voxels, evenly spread; the joint solve fills in the others
        asked = (parity[:, 0] == parity[:, 1]) & (parity[:, 1] == parity[:, 2])
        middle = (np.asarray(view.grid.size_xyz) - 1) / 2 * settings.label_spacing_mm
        projected = PatchReader(view, settings.label_patch).projected(positions[asked] + middle, self.projection)
        level = np.full(int(asked.sum()), float(structure))
        raw = self.estimate(projected, positions[asked], level, settings)
        data = np.zeros(len(index))
        data[asked] = self._combined(raw, prior[unsure][asked])
        block = _middle_block(view.voxels, prior.shape)
        links = _voxel_links(unsure, block, settings)
        confidence = np.where(asked, settings.label_joint.data_weight, 0.0)
        result = (likely >= 0.5).astype(np.float32)
        result[unsure] = solve_joint(data[:, None], confidence, [links], tolerance=1e-3)[:, 0]
        return np.asarray(result)

    def _neighbour_mean(
        self, rows: Features, positions_mm: FloatArray, excluded: int, settings: DiscSettings
    ) -> FloatArray:
        """Search the 27 cells around each voxel; voxels of one cell are searched together."""
        cells = _cells(positions_mm, self.cells_zyx, settings)
        flat = np.ravel_multi_index(tuple(cells.T), tuple(self.cells_zyx))
        order = np.argsort(flat, kind="stable")
        mean = np.zeros(len(rows))
        for own in np.split(order, np.nonzero(np.diff(flat[order]))[0] + 1):
            near = self._rows_around(cells[own[0]])
            near = near[self.group[near] != excluded]
            if len(near):
                squared, index = nearest_rows(rows[own], self.rows[near], settings.label_joint.neighbours)
                mean[own] = (neighbour_weights(squared) * self.inside[near[index]]).sum(axis=1)
        return mean

    def _rows_around(self, cell_zyx: NDArray[np.int64]) -> NDArray[np.int64]:
        """Training rows in the 27 cells around a cell: runs along x are contiguous."""
        depth, height, width = self.cells_zyx
        z0, y0, x0 = cell_zyx
        runs = []
        for z in range(max(z0 - 1, 0), min(z0 + 2, depth)):
            for y in range(max(y0 - 1, 0), min(y0 + 2, height)):
                line = (z * height + y) * width
                first, last = self.cell_start[line + max(x0 - 1, 0)], self.cell_start[line + min(x0 + 2, width)]
                runs.append(np.arange(first, last))
        return np.concatenate(runs)

    def _combined(self, raw: FloatArray, prior: NDArray[np.floating]) -> FloatArray:
        terms = np.stack([_logit(raw), _logit(prior), np.ones(len(raw))], axis=1)
        return np.asarray(1 / (1 + np.exp(-terms @ self.combination)))

    def _with_combination(
        self, records: Sequence[TrainingRecord], names: Sequence[str], patients: list[str],
        masks: Features, members: NDArray[np.bool_], settings: DiscSettings, rng: np.random.Generator,
    ) -> LabelModel:  # fmt: skip
        raw, prior, inside, weight = [], [], [], []
        interior = 0.0
        for record in records:
            others = [i for i, other in enumerate(records) if other.patient != record.patient]
            position_prior = _mean_masks(masks, members, others)
            count = len(record.label_inside)
            chosen = rng.choice(count, size=min(_CHECKED_SAMPLES // len(records), count), replace=False)
            level = _levels(record, names)[record.label_structure[chosen]]
            positions = record.label_positions[chosen].astype(np.float64)
            excluded = patients.index(record.patient)
            projected = self.projection(record.label_features[chosen])
            raw.append(self.estimate(projected, positions, level, settings, excluded))
            index = _nearest_voxel(positions, position_prior.shape[1:], settings)
            prior.append(position_prior[(level.astype(int), *index.T)])
            inside.append(record.label_inside[chosen])
            weight.append(record.label_weight[chosen] * count / len(chosen))
            # voxels deep inside are right anyway and count in the overlap (each mask is seen twice: mirrored)
            interior += 2.0 * float((record.masks >= 0.5).sum()) - float(weight[-1][inside[-1]].sum())
        truth = np.concatenate(inside)
        terms = np.stack([_logit(np.concatenate(raw)), _logit(np.concatenate(prior))], axis=1)
        fitted = LogisticRegression(C=1e3).fit(terms, truth)
        combination = np.array([*fitted.coef_[0], fitted.intercept_[0]])
        model = type(self)(**{**self.__dict__, "combination": combination})
        probability = model._combined(np.concatenate(raw), np.concatenate(prior))
        threshold = _best_threshold(probability, truth, np.concatenate(weight), max(interior, 0.0))
        return type(self)(**{**model.__dict__, "threshold": threshold})


def _best_threshold(
    probability: FloatArray, truth: NDArray[np.bool_], weight: NDArray[np.floating], interior: float
) -> float:
    """Middle of the thresholds with the highest Dice over all training patients."""
    thresholds = np.arange(0.25, 0.66, 0.01)
    scores = []
    for threshold in thresholds:
        taken = probability >= threshold
        both = weight[taken & truth].sum() + interior
        scores.append(2 * both / (weight[taken].sum() + weight[truth].sum() + 2 * interior))
    return float(thresholds[np.array(scores) >= max(scores) - _EQUAL_DICE].mean())


def _logit(p: NDArray[np.floating]) -> FloatArray:
    clipped = np.clip(np.asarray(p, dtype=np.float64), 0.02, 0.98)
    return np.log(clipped / (1 - clipped))


def _levels(record: TrainingRecord, names: Sequence[str]) -> FloatArray:
    return np.array([float(list(names).index(name)) for name in record.structures])


def _rows(projected: Features, positions: Features, level: FloatArray, settings: DiscSettings) -> Features:
    place = positions * settings.label_position_weight
    return np.concatenate([projected, place, (settings.level_distance * level)[:, None]], axis=1, dtype=np.float32)


def cell_counts(prior: Features, settings: DiscSettings) -> NDArray[np.int64]:
    """Cells along z, y, x that hold masks of the shape of a prior and the training voxels around them."""
    extent = np.asarray(prior.shape[1:]) * settings.label_spacing_mm + 2 * settings.label_margin_mm
    return np.ceil(extent / settings.label_search_mm).astype(np.int64)


def _cells(
    positions_mm: NDArray[np.floating], cells_zyx: NDArray[np.int64], settings: DiscSettings
) -> NDArray[np.int64]:
    cell = np.floor(positions_mm[:, ::-1] / settings.label_search_mm + cells_zyx / 2).astype(np.int64)
    return np.clip(cell, 0, cells_zyx - 1)


def _nearest_voxel(positions_mm: FloatArray, shape: tuple[int, ...], settings: DiscSettings) -> NDArray[np.int64]:
    half = (np.asarray(shape) - 1) / 2
    index = np.rint(positions_mm[:, ::-1] / settings.label_spacing_mm + half).astype(np.int64)
    return np.clip(index, 0, np.asarray(shape) - 1)


def _aligned_masks(records: Sequence[TrainingRecord], names: Sequence[str]) -> tuple[Features, NDArray[np.bool_]]:
    """Bring all masks to one size (records, S, z, y, x); members tells which structures a record holds."""
    shape = np.max([record.masks.shape[1:] for record in records], axis=0)
    masks = np.zeros((len(records), len(names), *shape), np.float32)
    members = np.zeros((len(records), len(names)), bool)
    for r, record in enumerate(records):
        pad = [(int(n), int(n)) for n in (shape - np.asarray(record.masks.shape[1:])) // 2]
        for mask, name in zip(record.masks, record.structures, strict=True):
            masks[r, list(names).index(name)] = np.pad(mask, pad)
            members[r, list(names).index(name)] = mask.any()
    return masks, members


def _mean_masks(masks: Features, members: NDArray[np.bool_], chosen: Sequence[int] | range) -> Features:
    """Mean mask per structure over the chosen records, left and right alike; the overall mean where none has it."""
    rows = list(chosen)
    count = members[rows].sum(axis=0)
    total = masks[rows].sum(axis=0)
    mean = total / np.maximum(count, 1)[:, None, None, None]
    if (count == 0).any() and count.sum():
        mean[count == 0] = total.sum(axis=0) / count.sum()
    symmetric: Features = ((mean + mean[..., ::-1]) / 2).astype(np.float32)
    return symmetric


def _middle_block(voxels: Features, shape: tuple[int, ...]) -> Features:
    start = [(n - m) // 2 for n, m in zip(voxels.shape[1:], shape, strict=True)]
    z, y, x = (slice(a, a + m) for a, m in zip(start, shape, strict=True))
    return voxels[:, z, y, x]


def _voxel_links(unsure: NDArray[np.bool_], block: Features, settings: DiscSettings) -> Links:
    """Link face neighbours, the less the more their intensities differ."""
    number = np.full(unsure.shape, -1, np.int64)
    number[unsure] = np.arange(int(unsure.sum()))
    first, second, weight = [], [], []
    for axis in range(3):
        here = tuple(slice(None, -1) if a == axis else slice(None) for a in range(3))
        there = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
        both = unsure[here] & unsure[there]
        jump = ((block[:, *here] - block[:, *there])[:, both] ** 2).mean(axis=0)
        first.append(number[here][both])
        second.append(number[there][both])
        weight.append(settings.label_joint.geometry_weight * np.exp(-jump / 0.08).astype(np.float64))
    return Links(np.concatenate(first), np.concatenate(second), np.concatenate(weight))
