"""The same three steps by forests (Chu et al., PLoS ONE 2015): regression votes, and a classification of voxels.

The forests read the block means and deviations of `patches`; what they say goes the way of the joint estimates: votes
to modes and the chain, label probabilities to the prior of position and the threshold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from regforest.discs.chain import StepModel
from regforest.discs.own_views import lattice, random_ball
from regforest.discs.patches import Completion, PatchReader
from regforest.discs.settings import DiscSettings, ForestSettings, PatchSettings
from regforest.discs.training import TrainingRecord, level_of_fine, named_offsets
from regforest.discs.views import View
from regforest.discs.voting import VoteMap
from regforest.forest import Forest

if TYPE_CHECKING:
    from regforest.forest import ForestRegressor

__all__ = ["CoarseForest", "FineForest", "ForestLabels"]

FloatArray = NDArray[np.float64]
Features = NDArray[np.float32]

_COMPONENTS = 6  # of the displacements to all structures, which move together
_CHUNK_ROWS = 4096


@dataclass(frozen=True, eq=False)
class CoarseForest:
    """Regression forest over whole volumes.

    Attributes
    ----------
    forest : Forest
        Outputs: trust in the vote for each structure, then the displacements times it (`_leaf_votes`).
    completion : Completion, optional
        For scans that lack channels; None where there is one only, and in models of earlier versions.
    """

    forest: Forest
    completion: Completion | None = None

    @classmethod
    def fit(
        cls, records: Sequence[TrainingRecord], names: Sequence[str], settings: DiscSettings, seed: int
    ) -> CoarseForest:
        """Grow the trees on the displacements to all structures; the leaves hold what annotated ones say."""
        kept = _thinned([len(record.coarse_features) for record in records], settings.forest.rows, seed)
        rows = np.concatenate([r.coarse_features[own] for r, own in zip(records, kept, strict=True)])
        offsets = np.concatenate([named_offsets(r, names)[own] for r, own in zip(records, kept, strict=True)])
        steps = StepModel.fit(names, [record.chain_mm for record in records])
        flat = _filled(offsets, steps).reshape(len(rows), -1)
        centred = flat - flat.mean(axis=0)
        _, axes = np.linalg.eigh(centred.T @ centred)
        features = rows.astype(np.float32)
        grown = _regressor(settings.forest, seed).fit(features, centred @ axes[:, -_COMPONENTS:]).forest_
        forest = _leaf_votes(grown, features, offsets, settings.forest.trust_mm)
        return cls(forest, _completion(records, "coarse_features", settings.coarse_patch, seed))

    def votes(self, view: View, settings: DiscSettings, n_jobs: int = 1) -> list[VoteMap]:
        """Votes of all patches of a coarse view for each structure, in view millimetres."""
        points = lattice(view, settings.coarse_grid_mm)
        found = _predicted(self, view, settings.coarse_patch, points, n_jobs=n_jobs)
        structures = range(found.shape[1] // 4)
        return [VoteMap(*_votes(points, found, s), settings.coarse_vote_mm) for s in structures]


@dataclass(frozen=True, eq=False)
class FineForest:
    """Regression forest over the structures' own views.

    Attributes
    ----------
    forest : Forest
        Features: those of the patch and the structure's number. Outputs as for `CoarseForest`, one structure.
    completion : Completion, optional
        As for `CoarseForest`.
    """

    forest: Forest
    completion: Completion | None = None

    @classmethod
    def fit(
        cls, records: Sequence[TrainingRecord], names: Sequence[str], settings: DiscSettings, seed: int
    ) -> FineForest:
        """Grow one forest for all structures: they help each other as far as they look alike."""
        kept = _thinned([len(record.fine_features) for record in records], settings.forest.rows, seed)
        parts = [
            _columns(r.fine_features[own], level_of_fine(r, names)[own]) for r, own in zip(records, kept, strict=True)
        ]
        offsets = np.concatenate([r.fine_offsets[own] for r, own in zip(records, kept, strict=True)])
        features = np.concatenate(parts)
        grown = _regressor(settings.forest, seed).fit(features, offsets).forest_
        forest = _leaf_votes(grown, features, offsets[:, None], settings.forest.trust_mm)
        return cls(forest, _completion(records, "fine_features", settings.fine_patch, seed))

    def votes(self, view: View, structure: int, settings: DiscSettings, rng: np.random.Generator) -> VoteMap:
        """Votes for the centre of one structure in its own view, in view millimetres."""
        points = view.extent_mm / 2 + random_ball(rng, settings.fine_patches, settings.fine_radius_mm)
        found = _predicted(self, view, settings.fine_patch, points, np.full(len(points), structure))
        return VoteMap(*_votes(points, found, 0), settings.fine_vote_mm)


@dataclass(frozen=True, eq=False)
class ForestLabels:
    """Classification forest of voxels near the borders of the structures.

    Attributes
    ----------
    forest : Forest
        Features: those of the patch, place in the structure's own view (mm) and the structure's number. Outputs:
        probabilities of outside and inside.
    completion : Completion, optional
        As for `CoarseForest`.
    """

    forest: Forest
    completion: Completion | None = None

    @classmethod
    def fit(
        cls, records: Sequence[TrainingRecord], levels: Sequence[FloatArray], settings: DiscSettings, seed: int
    ) -> ForestLabels:
        """Grow the trees on the label samples; `levels` holds the structure's number of each sample."""
        forest = cls._grown(records, levels, settings, seed)
        return cls(forest, _completion(records, "label_features", settings.label_patch, seed))

    @staticmethod
    def _grown(
        records: Sequence[TrainingRecord], levels: Sequence[FloatArray], settings: DiscSettings, seed: int
    ) -> Forest:
        from regforest.forest import ForestClassifier  # and with it scikit-learn, which only learning needs

        kept = _thinned([len(record.label_inside) for record in records], settings.forest.rows, seed)
        features = np.concatenate([_label_columns(*item) for item in zip(records, levels, kept, strict=True)])
        inside = np.concatenate([r.label_inside[own] for r, own in zip(records, kept, strict=True)])
        own = settings.forest
        classifier = ForestClassifier(
            own.trees, min_samples_leaf=own.min_leaf, max_features=own.feature_share, random_state=seed
        )
        return classifier.fit(features, np.stack([~inside, inside], axis=1).astype(np.float32)).forest_

    def estimate(
        self, reader: PatchReader, points_mm: FloatArray, positions_mm: FloatArray, level: FloatArray,
        settings: DiscSettings,
    ) -> FloatArray:  # fmt: skip
        """Probability that points, at places of a structure's own view, lie inside."""
        chunks = [slice(start, start + _CHUNK_ROWS) for start in range(0, len(points_mm), _CHUNK_ROWS)]
        parts = [
            self.forest.predict(_columns(_completed(self, reader, points_mm[c]), positions_mm[c], level[c]))[:, 1]
            for c in chunks
        ]
        return np.concatenate(parts).astype(np.float64)

    def held_out(
        self, records: Sequence[TrainingRecord], levels: Sequence[FloatArray],
        chosen: Sequence[NDArray[np.int64]], settings: DiscSettings, seed: int,
    ) -> list[FloatArray]:  # fmt: skip
        """Estimates for chosen samples of the training records, from a forest of the other half of the patients."""
        half = {patient: i % 2 for i, patient in enumerate(sorted({record.patient for record in records}))}
        judges = []
        for side in (0, 1):
            others = [i for i, record in enumerate(records) if half[record.patient] != side]
            judges.append(self._grown([records[i] for i in others], [levels[i] for i in others], settings, seed))
        return [
            judges[half[r.patient]].predict(_label_columns(r, level, own))[:, 1].astype(np.float64)
            for r, level, own in zip(records, levels, chosen, strict=True)
        ]


_Part = CoarseForest | FineForest | ForestLabels


def _regressor(settings: ForestSettings, seed: int) -> ForestRegressor:
    from regforest.forest import ForestRegressor

    return ForestRegressor(
        settings.trees, min_samples_leaf=settings.min_leaf, max_features=settings.feature_share, random_state=seed
    )


def _thinned(counts: Sequence[int], total: int, seed: int) -> list[NDArray[np.int64]]:
    """Draw the same share of each record's rows, `total` at most."""
    rng, share = np.random.default_rng([seed, 7]), min(1.0, total / sum(counts))
    return [np.sort(rng.permutation(count)[: max(1, int(share * count))]) for count in counts]


def _filled(offsets: Features, steps: StepModel) -> FloatArray:
    """Lead the displacements (N, S, 3) to structures that a scan does not show from the nearest that it does."""
    along = np.concatenate([np.zeros((1, 3)), np.cumsum(steps.mean_mm, axis=0)])
    filled = offsets.astype(np.float64)
    shown = np.isfinite(offsets[..., 0])
    for s in range(len(along)):
        nearest = np.where(shown, np.abs(np.arange(len(along)) - s), len(along)).argmin(axis=1)
        led = filled[np.arange(len(filled)), nearest] + along[s] - along[nearest]
        filled[:, s] = np.where(shown[:, s, None], filled[:, s], led)
    return filled


def _leaf_votes(forest: Forest, rows: Features, offsets: Features, trust_mm: float) -> Forest:
    """Let each leaf hold its mean displacement to each structure (N, S, 3), times a trust that falls with its spread.

    The mean over the trees, divided by the mean trust, is the vote of all trees.
    """
    shown = np.isfinite(offsets[..., :1])
    known = np.where(shown, offsets, 0.0)
    moments = np.concatenate([shown, known, (known**2).sum(axis=2, keepdims=True)], axis=2, dtype=np.float64)
    count, structures = moments.shape[:2]
    totals = forest.leaf_sums(rows, moments.reshape(count, -1)).reshape(-1, structures, 5)
    mass = np.maximum(totals[..., 0], 1e-12)
    mean = totals[..., 1:4] / mass[..., None]
    variance = np.maximum(totals[..., 4] / mass - (mean**2).sum(axis=-1), 0.0) / 3
    trust = np.where(totals[..., 0] > 0, (1 + variance / trust_mm**2) ** -1.5, 0.0)
    values = np.concatenate([trust, (trust[..., None] * mean).reshape(len(trust), -1)], axis=1)
    return Forest.from_arrays(forest.to_arrays() | {"values": values.astype(np.float32)})


def _completion(
    records: Sequence[TrainingRecord], features: str, patch: PatchSettings, seed: int
) -> Completion | None:
    """Learn how the features of the channels go together, where there are several."""
    if len(records[0].channels) == 1:
        return None
    parts = [getattr(record, features) for record in records]
    return Completion.fit(parts, patch.components, np.random.default_rng([seed, 8]))


def _completed(part: _Part, reader: PatchReader, points_mm: FloatArray) -> Features:
    """Features of patches, those of missing channels as they are expected."""
    features = reader(points_mm)
    return features if part.completion is None else part.completion(features)


def _predicted(
    part: CoarseForest | FineForest, view: View, patch: PatchSettings, points_mm: FloatArray,
    *columns: NDArray[Any], n_jobs: int = 1,
) -> FloatArray:  # fmt: skip
    """Predict (N, K) at points of a view; further columns stand behind the patch features."""
    reader = PatchReader(view, patch)
    chunks = [slice(start, start + _CHUNK_ROWS) for start in range(0, len(points_mm), _CHUNK_ROWS)]
    parts = [
        part.forest.predict(_columns(_completed(part, reader, points_mm[c]), *(x[c] for x in columns)), n_jobs)
        for c in chunks
    ]
    return np.concatenate(parts).astype(np.float64)


def _votes(points_mm: FloatArray, found: FloatArray, structure: int) -> tuple[FloatArray, FloatArray]:
    """Voted places and trusts for one structure from the outputs (N, 4 S) of a forest of `_leaf_votes`."""
    trust, weighted = found[:, structure], found[:, found.shape[1] // 4 :].reshape(len(found), -1, 3)
    voting = trust > 1e-3
    return points_mm[voting] + weighted[voting, structure] / trust[voting, None], trust[voting]


def _columns(*parts: NDArray[Any]) -> Features:
    return np.column_stack(parts).astype(np.float32, copy=False)


def _label_columns(record: TrainingRecord, level: FloatArray, rows: NDArray[np.int64]) -> Features:
    return _columns(record.label_features[rows], record.label_positions[rows], level[rows])
