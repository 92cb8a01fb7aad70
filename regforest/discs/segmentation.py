"""Segmentation by the same joint estimate: probability from training voxels that look alike at the same place.

Each structure is seen in its own view (centred, turned along the chain, scaled). The probability of a voxel is the
weighted mean label of its neighbours in the training data, or what a classification forest says; a logistic model
joins it with the prior of position; the joint solve makes it smooth on the voxel grid where the image is. The
threshold is learned on training patients, each judged by the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from regforest.discs.displacement import Links, solve_joint
from regforest.discs.forests import ForestLabels
from regforest.discs.neighbour_labels import NeighbourLabels
from regforest.discs.patches import PatchReader
from regforest.discs.settings import DiscSettings
from regforest.discs.training import TrainingRecord
from regforest.discs.views import View

__all__ = ["LabelModel"]

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
    voxels : NeighbourLabels or ForestLabels
        Says how likely a voxel with its surroundings lies inside.
    prior : ndarray of float32, shape (S, z, y, x)
        Mean mask of each structure in its own view.
    combination : ndarray, shape (3,)
        Logistic weights: logit of the estimate, logit of the prior, constant.
    threshold : float
        Probability from which a voxel belongs to the structure.
    """

    voxels: NeighbourLabels | ForestLabels
    prior: Features
    combination: FloatArray
    threshold: float

    @classmethod
    def fit(
        cls, records: Sequence[TrainingRecord], names: Sequence[str], settings: DiscSettings, seed: int
    ) -> LabelModel:
        """Learn from records that hold masks; patients judge each other for the combination and the threshold."""
        levels = [_levels(record, names)[record.label_structure] for record in records]
        kind: type[NeighbourLabels | ForestLabels] = ForestLabels if settings.method == "forest" else NeighbourLabels
        masks, members = _aligned_masks(records, names)
        model = cls(
            kind.fit(records, levels, settings, seed), _mean_masks(masks, members, range(len(records))),
            np.array([1.0, 0.0, 0.0]), 0.45,
        )  # fmt: skip
        if len({record.patient for record in records}) < 2:
            return model
        return model._with_combination(records, levels, masks, members, settings, seed)

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
        reader = PatchReader(view, settings.label_patch)
        level = np.full(int(asked.sum()), float(structure))
        raw = self.voxels.estimate(reader, positions[asked] + middle, positions[asked], level, settings)
        data = np.zeros(len(index))
        data[asked] = self._combined(raw, prior[unsure][asked])
        block = _middle_block(view.voxels, prior.shape)
        links = _voxel_links(unsure, block, settings)
        confidence = np.where(asked, settings.label_joint.data_weight, 0.0)
        result = (likely >= 0.5).astype(np.float32)
        result[unsure] = solve_joint(data[:, None], confidence, [links], tolerance=1e-3)[:, 0]
        return np.asarray(result)

    def _combined(self, raw: FloatArray, prior: NDArray[np.floating]) -> FloatArray:
        terms = np.stack([_logit(raw), _logit(prior), np.ones(len(raw))], axis=1)
        return np.asarray(1 / (1 + np.exp(-terms @ self.combination)))

    def _with_combination(
        self, records: Sequence[TrainingRecord], levels: Sequence[FloatArray], masks: Features,
        members: NDArray[np.bool_], settings: DiscSettings, seed: int,
    ) -> LabelModel:  # fmt: skip
        """Learn the weights of estimate and prior, and the threshold, where each patient is judged by the others."""
        from sklearn.linear_model import LogisticRegression  # takes a second to import; only learning needs it

        rng, share = np.random.default_rng([seed, 5]), _CHECKED_SAMPLES // len(records)
        counts = [len(record.label_inside) for record in records]
        chosen = [rng.choice(count, size=min(share, count), replace=False) for count in counts]
        raw = self.voxels.held_out(records, levels, chosen, settings, seed)
        prior, inside, weight = [], [], []
        interior = 0.0
        for record, level, own, count in zip(records, levels, chosen, counts, strict=True):
            others = [i for i, other in enumerate(records) if other.patient != record.patient]
            expected = _mean_masks(masks, members, others)
            index = _nearest_voxel(record.label_positions[own], expected.shape[1:], settings)
            prior.append(expected[(level[own].astype(int), *index.T)])
            inside.append(record.label_inside[own])
            weight.append(record.label_weight[own] * count / len(own))
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


def _nearest_voxel(
    positions_mm: NDArray[np.floating], shape: tuple[int, ...], settings: DiscSettings
) -> NDArray[np.int64]:
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
