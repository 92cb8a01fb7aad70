"""Vertebrae in CT by regression and a hidden Markov model: the method of Glocker et al., MICCAI 2012.

The 2013 paper compares with it: a regression forest finds roughly where the spine is and which part of it the image
shows; a generative model of appearance and shape then settles where each vertebra is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from regforest._memory import MemoryNeed
from regforest._threads import Progress
from regforest.errors import DataError, ModelError
from regforest.features import BoxFeatures
from regforest.forest import Forest, PoolRows, TrainingImage
from regforest.io.models import join_parts, part_of, read_model, write_model
from regforest.spatial import PAPER_LEVELS, AnnotatedScan, Landmarks, Localization, ScanSize, Volume, hounsfield_doubt
from regforest.vertebrae.appearance import Appearance
from regforest.vertebrae.baseline_memory import GROWING_VOTES, expected_voters, memory_of_voting
from regforest.vertebrae.baseline_sampling import draw_places, draw_voters
from regforest.vertebrae.baseline_settings import BaselineSettings
from regforest.vertebrae.chain_prior import ChainPrior, default_chain_prior, fit_chain_prior
from regforest.vertebrae.memory import LEARN_LESS, DrawnSizes, memory_of_drawing
from regforest.vertebrae.model_parts import check_reach, stored_settings
from regforest.vertebrae.regression_votes import cast_votes, completed_spine, grow_vote_forest, with_leaf_votes
from regforest.vertebrae.sampling import spine_in_view, working_image
from regforest.vertebrae.vote_chain import Reading, neighbourhood, read_chain, spine_tube, strongest_places

if TYPE_CHECKING:
    from regforest.forest import ForestRegressor

__all__ = ["Baseline2012", "BaselineSettings"]

MODEL_KIND = "vertebrae-2012"

_TISSUE_HU = (-300, 500)  # beyond, lung and metal would outweigh what tells vertebrae apart
# levels that name themselves: the ends of the spine, or both sides of a border between regions
_SELF_NAMING = ({"C1"}, {"C2"}, {"S1"}, {"S2"}, {"C7", "T1"}, {"T12", "L1"})
_MAX_VOTE = 1e4
_PARTS: dict[str, Any] = {
    "forest": Forest, "boxes": BoxFeatures, "near_boxes": BoxFeatures, "appearance": Appearance
}  # fmt: skip


class Baseline2012:
    """Find and name the vertebrae in a CT scan as it was done in 2012.

    The 26 vertebrae from C1 to S2 are known, T13 and L6 are not.

    Parameters
    ----------
    settings : BaselineSettings, optional
        What to change from the defaults.
    seed : int
        One seed gives one model, whatever the number of jobs.

    Examples
    --------
    >>> baseline = Baseline2012(BaselineSettings.quick())
    >>> baseline.settings.trees
    8
    """

    settings: BaselineSettings
    boxes: BoxFeatures
    forest: Forest
    near_boxes: BoxFeatures
    appearance: Appearance
    prior: ChainPrior

    def __init__(self, settings: BaselineSettings | None = None, seed: int = 0) -> None:
        self.settings = settings or BaselineSettings()
        self.seed = seed

    def fit(
        self,
        scans: Iterable[AnnotatedScan],
        progress: Progress | None = None,
        n_jobs: int = 1,
        max_memory_mb: float | None = None,
    ) -> Baseline2012:
        """Learn from annotated scans; they are read one at a time, and of each its working image is kept.

        Parameters
        ----------
        scans : iterable of AnnotatedScan
            Training scans; only the first channel and the landmarks are used.
        progress : callable, optional
            Called as ``progress(done, total)`` after each tree.
        n_jobs : int
            Threads for growing the trees; does not change the result.
        max_memory_mb : float, optional
            Bound for the memory that this takes, two scans included; does not change the result, but how many
            threads there are.

        Raises
        ------
        DataError
            If there is no scan, one without any annotated vertebra in the image, or the work does not fit into the
            memory.
        """
        s = self.settings
        self.boxes, self.near_boxes = (
            BoxFeatures.random(count, seed=self.seed, max_offset_mm=reach_mm, size_range_mm=size_mm)
            for count, reach_mm, size_mm in (
                (s.features, s.max_offset_mm, s.box_size_mm),
                (s.near_features, s.near_offset_mm, s.near_box_size_mm),
            )
        )
        images, drawn, spines = list[TrainingImage](), [], []
        for number, scan in enumerate(scans):
            kept_mb = sum(image.volumes[0].nbytes for image in images) / 1e6
            one = expected_voters(s, [scan.size])
            memory_of_drawing([scan.size], one, kept_mb).check(max_memory_mb, scan.name, LEARN_LESS)
            image, arrays = self._training_part(scan, np.random.default_rng([self.seed, number]))
            images.append(image)
            drawn.append(arrays)
            spines.append(scan.landmarks)
        if not drawn:
            raise DataError("training needs at least one annotated scan, there is none")
        counts = [len(arrays[0]) for arrays in drawn], [len(arrays[2]) + len(arrays[4]) for arrays in drawn]
        need = memory_of_voting(s, DrawnSizes([image.volumes[0].shape for image in images], *counts), n_jobs)
        need.check(max_memory_mb, "training", LEARN_LESS)
        moved, annotated, bodies, levels, others = (np.concatenate(part) for part in zip(*drawn, strict=True))
        drawn.clear()
        rows = PoolRows(images, s.spacing_mm, self.boxes).matrix()
        model = self._regressor(need.threads(GROWING_VOTES, max_memory_mb, n_jobs))
        forest = grow_vote_forest(rows, moved, model, progress)
        self.forest = with_leaf_votes(forest, rows, moved, annotated, s.sharpness)
        self.appearance = Appearance.fit(bodies, levels, others, s.components)
        self.prior = fit_chain_prior(spines)
        return self

    def training_need(self, sizes: Sequence[ScanSize], n_jobs: int = 1, ahead: int = 0) -> MemoryNeed:
        """Bound the memory of each stage of `fit` for scans that need not have been read.

        Parameters
        ----------
        sizes : sequence of ScanSize
            The scans.
        n_jobs : int
            Threads.
        ahead : int
            How many scans are read while another one is learned from.
        """
        drawn = expected_voters(self.settings, sizes)
        drawing = memory_of_drawing(sizes, drawn, drawn.images_mb, ahead)
        return MemoryNeed(drawing | memory_of_voting(self.settings, drawn, n_jobs))

    def locate(self, volume: Volume, n_jobs: int = 1) -> Landmarks:
        """Return the centres of the vertebral bodies in view, LPS mm, with scores."""
        return self.localize(volume, n_jobs=n_jobs).landmarks

    def localize(self, volume: Volume, n_jobs: int = 1) -> Localization:
        """Find and name the vertebrae in view, and say how sure the names are.

        Parameters
        ----------
        volume : Volume
            A CT in HU, of any orientation and spacing.
        n_jobs : int
            Threads; does not change the result.
        """
        if volume.voxels.min() == volume.voxels.max():
            return Localization(Landmarks({}), "empty", "all voxels have one value")
        image = self._tissue(volume)
        votes = cast_votes(self.forest, self.boxes, image, self.settings.stride, self.settings.votes, n_jobs)
        rough = votes.modes(self.settings.chain.kernel_mm)
        for _ in range(self.settings.passes):
            points, looks = self._candidates(image, rough)
            reading = read_chain(points, looks, votes, image.grid, self.prior, self.settings.chain)
            if not len(reading.landmarks):
                break
            # a curved spine leaves the line of the votes: look along what was found and beyond its ends
            rough, _ = completed_spine(reading.landmarks, self.prior)
        return self._verdict(reading, hounsfield_doubt(volume))

    def save(self, path: str | Path) -> None:
        """Write the model: arrays and JSON, nothing that runs."""
        settings = {"settings": asdict(self.settings), "seed": self.seed, "prior": self.prior.to_dict()}
        arrays = join_parts({name: getattr(self, name).to_arrays() for name in _PARTS})
        write_model(path, MODEL_KIND, settings, arrays)

    @classmethod
    def load(cls, path: str | Path) -> Baseline2012:
        """Read a model written by `save`; raises `ModelError` if the file is damaged or of another kind."""
        settings, arrays = read_model(path, MODEL_KIND)
        own, seed, prior = stored_settings(path, settings, BaselineSettings.from_dict)
        baseline = cls(own, seed)
        baseline.prior = prior
        try:
            for name, kind in _PARTS.items():
                setattr(baseline, name, kind.from_arrays(part_of(arrays, name)))
            for boxes in (baseline.boxes, baseline.near_boxes):
                check_reach(boxes, own.spacing_mm)
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from error
        found = baseline.forest.n_features, baseline.forest.n_outputs, len(baseline.appearance.centre)
        wanted = len(baseline.boxes), 4 * len(PAPER_LEVELS), len(baseline.near_boxes)
        if found != wanted:
            raise ModelError(f"{path}: expected {wanted} features, outputs and appearance features, found {found}")
        values = baseline.forest.values
        if not (values[:, : len(PAPER_LEVELS)] > 0).all() or np.abs(values).max() > _MAX_VOTE:
            raise ModelError(f"{path}: expected votes of positive weight and up to {_MAX_VOTE:g} mm, found others")
        return baseline

    def _tissue(self, volume: Volume) -> Volume:
        image = working_image(volume, self.settings.spacing_mm)
        return Volume(np.clip(image.voxels, *_TISSUE_HU), image.grid)

    def _candidates(
        self, image: Volume, rough_lps_mm: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Places near the rough spine that look most like a vertebra: LPS mm, and log-ratios for each vertebra."""
        s, grid = self.settings.chain, image.grid
        coarse = spine_tube(rough_lps_mm, grid, s.tube_mm)
        kept = strongest_places(coarse, self._looks(image, coarse).max(axis=1), grid, 2, s.candidates)
        fine = neighbourhood(coarse[kept], grid)
        looks = self._looks(image, fine)
        kept = strongest_places(fine, looks.max(axis=1), grid, 1, s.candidates)
        return grid.index_to_lps(fine[kept][:, ::-1]), looks[kept]

    def _looks(self, image: Volume, index_zyx: NDArray[np.int64]) -> NDArray[np.float64]:
        return self.appearance.log_ratio(self.near_boxes.evaluate([image.voxels], image.grid.spacing_mm, index_zyx))

    def _training_part(
        self, scan: AnnotatedScan, rng: np.random.Generator
    ) -> tuple[TrainingImage, tuple[NDArray[Any], ...]]:
        """Voters; their displacements, which are annotated; features and levels of bodies, features of others."""
        image, sampling = self._tissue(scan.image), self.settings.sampling
        voxels, grid = [image.voxels], image.grid
        spine = spine_in_view(scan, grid, PAPER_LEVELS)
        voters = draw_voters(spine, grid, sampling, rng)
        places = draw_places(spine, scan.landmarks, grid, sampling, rng)
        centres, annotated = completed_spine(spine, default_chain_prior())
        # displacements follow the axes of the image, as the features do
        moved = (centres - grid.index_to_lps(voters[:, ::-1])[:, None]) @ grid.direction
        return TrainingImage(voxels, voters), (
            moved.astype(np.float32),
            np.tile(annotated, (len(voters), 1)),
            self.near_boxes.evaluate(voxels, grid.spacing_mm, places.bodies_zyx),
            places.levels,
            self.near_boxes.evaluate(voxels, grid.spacing_mm, places.others_zyx),
        )

    def _regressor(self, n_jobs: int) -> ForestRegressor:
        from regforest.forest import ForestRegressor  # and with it scikit-learn, which only learning needs

        s = self.settings
        return ForestRegressor(
            n_estimators=s.trees,
            max_depth=s.max_depth,
            min_samples_leaf=s.min_samples_leaf,
            max_features=min(s.features_per_node, s.features),
            random_state=self.seed,
            n_jobs=n_jobs,
        )

    def _verdict(self, reading: Reading, doubt: str) -> Localization:
        found = reading.landmarks
        if not len(found):
            return Localization(found, "empty", doubt or "no vertebra found")
        anchored = any(group <= set(found) for group in _SELF_NAMING)
        reason = doubt or ("" if anchored else "no anchoring level in view")
        if not reason and reading.shift_probability[0] < self.settings.min_probability:
            reason = "the whole chain may be shifted by a level"
        status, probabilities = "uncertain" if reason else "ok", {name: found.score(name) for name in found}
        return Localization(found, status, reason, anchored, reading.shift_probability, probabilities)
