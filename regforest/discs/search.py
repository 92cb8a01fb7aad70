"""Where the structures are: the joint displacement estimate over the whole volume, then around each centre."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import joblib
import numpy as np
from numpy.typing import NDArray

from regforest.discs.displacement import estimate_displacements, neighbour_weights
from regforest.discs.nearest import PatchRows
from regforest.discs.own_views import lattice, random_ball
from regforest.discs.patches import PatchReader, Projection
from regforest.discs.settings import DiscSettings, JointSettings
from regforest.discs.training import TrainingRecord, level_of_fine, named_offsets
from regforest.discs.views import View
from regforest.discs.voting import VoteMap

__all__ = ["CoarseModel", "FineModel"]

FloatArray = NDArray[np.float64]
Features = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class CoarseModel(PatchRows):
    """Training patches of whole volumes.

    Attributes
    ----------
    projection : Projection
        Of patch features.
    rows : ndarray of float32, shape (T, K)
        Projected features.
    offsets_mm : ndarray of float32, shape (T, S, 3)
        Displacement from each training patch to each structure; NaN where its scan does not show it.
    """

    offsets_mm: Features

    @classmethod
    def fit(
        cls, records: Sequence[TrainingRecord], names: Sequence[str], settings: DiscSettings, seed: int
    ) -> CoarseModel:
        """Gather the patches of all records."""
        rng = np.random.default_rng([seed, 3])
        parts = [record.coarse_features for record in records]
        projection = Projection.fit_parts(parts, settings.coarse_patch.components, rng)
        share = min(1.0, settings.coarse_rows / sum(len(part) for part in parts))
        kept = [np.sort(rng.permutation(len(part))[: max(1, int(share * len(part)))]) for part in parts]
        rows = [projection(part[own]) for part, own in zip(parts, kept, strict=True)]
        offsets = [named_offsets(record, names)[own] for record, own in zip(records, kept, strict=True)]
        return cls(projection, np.concatenate(rows), np.concatenate(offsets))

    def votes(self, view: View, settings: DiscSettings, n_jobs: int = 1) -> list[VoteMap]:
        """Votes of all patches of a coarse view for each structure, in view millimetres."""
        points = lattice(view, settings.coarse_grid_mm)
        features = PatchReader(view, settings.coarse_patch).projected(points, self.projection)
        squared, index = self.nearest(features, settings.coarse_joint.neighbours)
        weights = neighbour_weights(squared)
        joint = _coupled(settings.coarse_joint, settings)

        def vote(s: int) -> VoteMap:
            offsets = self.offsets_mm[index, s]
            reach = np.linalg.norm(offsets, axis=-1) <= settings.coarse_reach_mm  # False for NaN
            away, presence = estimate_displacements(
                points, features, np.where(reach[..., None], offsets, 0.0), weights * reach, joint
            )
            voted = np.isfinite(away[:, 0])
            return VoteMap((points + away)[voted], presence[voted], settings.coarse_vote_mm)

        structures = range(self.offsets_mm.shape[1])
        return list(joblib.Parallel(n_jobs=n_jobs, prefer="threads")(joblib.delayed(vote)(s) for s in structures))


@dataclass(frozen=True, eq=False)
class FineModel(PatchRows):
    """Training patches of the structures' own views.

    Attributes
    ----------
    projection : Projection
        Of patch features.
    rows : ndarray of float32, shape (T, K + 1)
        Projected features and the weighted level.
    offsets_mm : ndarray of float32, shape (T, 3)
        Displacement to the structure's centre.
    """

    offsets_mm: Features

    @classmethod
    def fit(
        cls, records: Sequence[TrainingRecord], names: Sequence[str], settings: DiscSettings, seed: int
    ) -> FineModel:
        """Gather the patches of all records; structures help each other as far as they look alike."""
        parts = [record.fine_features for record in records]
        level = [level_of_fine(record, names) for record in records]
        projection = Projection.fit_parts(parts, settings.fine_patch.components, np.random.default_rng([seed, 6]))
        rows = _with_level(np.concatenate([projection(part) for part in parts]), np.concatenate(level), settings)
        return cls(projection, rows, np.concatenate([record.fine_offsets for record in records]))

    def votes(self, view: View, structure: int, settings: DiscSettings, rng: np.random.Generator) -> VoteMap:
        """Votes for the centre of one structure in its own view, in view millimetres."""
        middle = view.extent_mm / 2
        points = middle + random_ball(rng, settings.fine_patches, settings.fine_radius_mm)
        projected = PatchReader(view, settings.fine_patch).projected(points, self.projection)
        level = np.full(len(points), structure)
        rows = _with_level(projected, level, settings)
        squared, index = self.nearest(rows, settings.fine_joint.neighbours)
        away, presence = estimate_displacements(
            points, projected, self.offsets_mm[index], neighbour_weights(squared),
            _coupled(settings.fine_joint, settings),
        )  # fmt: skip
        return VoteMap(points + away, presence, settings.fine_vote_mm)


def _coupled(joint: JointSettings, settings: DiscSettings) -> JointSettings:
    """Return the weights of the joint estimate, without coupling for the kNN ablation."""
    if settings.method == "knn":
        return JointSettings(joint.neighbours, joint.data_weight, 0.0, 0.0, joint.link_mm, joint.mode_mm)
    return joint


def _with_level(projected: Features, level: NDArray[np.int64], settings: DiscSettings) -> Features:
    return np.concatenate([projected, (settings.level_distance * level)[:, None]], axis=1, dtype=np.float32)
