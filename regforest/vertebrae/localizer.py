"""Vertebrae in CT by dense classification: the method of Glocker et al., MICCAI 2013, step by step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regforest._memory import MemoryNeed, Stage
from regforest._threads import Progress
from regforest.errors import DataError, ModelError
from regforest.forest import coarse_to_fine_memory_mb, predict_coarse_to_fine
from regforest.io.models import join_parts, read_model, write_model
from regforest.spatial import AnnotatedScan, Grid, Landmarks, Localization, ScanSize, Volume, hounsfield_doubt, level
from regforest.vertebrae.bodies import BODY, find_bodies, level_shares
from regforest.vertebrae.box_forest import BoxForest
from regforest.vertebrae.candidates import Candidates, find_candidates
from regforest.vertebrae.chain_prior import ChainPrior, fit_chain_prior
from regforest.vertebrae.dense_labels import BACKGROUND, CLASSES
from regforest.vertebrae.identification import Identification, identify
from regforest.vertebrae.memory import (
    GROWING_BODIES,
    GROWING_LEVELS,
    LEARN_LESS,
    RESAMPLING_BYTES,
    expected_sizes,
    memory_of_drawing,
    memory_of_growing,
)
from regforest.vertebrae.model_parts import check_reach, stored_settings
from regforest.vertebrae.sampling import working_image
from regforest.vertebrae.settings import VertebraSettings
from regforest.vertebrae.training import TrainingSet, VoxelSet
from regforest.vertebrae.verdict import names_in_doubt, steps_in_doubt

__all__ = ["VertebraLocalizer", "VertebraSettings"]

MODEL_KIND = "vertebrae"
_STEP_WEIGHT = 0.35  # a forest scores each level by itself: the steps have more to add than to scores of regions
_MODES_BYTES = 24  # of a voxel of the map of one vertebra: smoothed, maxima, masks
_DOUBT = 0.1  # of the probability of a body that begins to matter


class VertebraLocalizer:
    """Find and name the vertebrae in a CT scan.

    Parameters
    ----------
    settings : VertebraSettings, optional
        What to change from the defaults.
    seed : int
        One seed gives one model, whatever the number of jobs.

    Examples
    --------
    >>> localizer = VertebraLocalizer(VertebraSettings.quick())
    >>> localizer.settings.trees
    8
    """

    settings: VertebraSettings
    levels: BoxForest
    bodies: BoxForest | None
    prior: ChainPrior

    def __init__(self, settings: VertebraSettings | None = None, seed: int = 0) -> None:
        self.settings = settings or VertebraSettings()
        self.seed = seed

    def fit(
        self,
        scans: Iterable[AnnotatedScan],
        progress: Progress | None = None,
        n_jobs: int = 1,
        max_memory_mb: float | None = None,
    ) -> VertebraLocalizer:
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
        drawn = TrainingSet.draw(scans, s, self.seed, max_memory_mb)
        need = memory_of_growing(s, drawn.sizes(), n_jobs)
        need.check(max_memory_mb, "training", LEARN_LESS)

        def grow(part: VoxelSet, stage: str, before: int) -> BoxForest:
            jobs = need.threads(stage, max_memory_mb, n_jobs)
            return part.grow(s.spacing_mm, jobs, _part(progress, before, s.trees + s.bodies.trees))

        self.levels = grow(drawn.levels, GROWING_LEVELS, 0)
        self.bodies = grow(drawn.bodies, GROWING_BODIES, s.trees) if s.bodies.trees else None
        self.prior = fit_chain_prior(drawn.spines, false_per_mm3=s.false_per_mm3, step_weight=_STEP_WEIGHT)
        return self

    def locate(self, volume: Volume, n_jobs: int = 1) -> Landmarks:
        """Return the centres of the vertebral bodies in view, LPS mm, with scores."""
        return self.localize(volume, n_jobs=n_jobs).landmarks

    def localize(
        self,
        volume: Volume,
        anchor: Mapping[str, ArrayLike] | None = None,
        n_jobs: int = 1,
        max_memory_mb: float | None = None,
    ) -> Localization:
        """Find and name the vertebrae in view, and say how sure the names are.

        Parameters
        ----------
        volume : Volume
            A CT in HU, of any orientation and spacing.
        anchor : mapping of str to array_like, shape (3,), optional
            A level that the user knows, and a point (LPS mm) on it.
        n_jobs : int
            Threads; does not change the result.
        max_memory_mb : float, optional
            Bound for the memory that this takes, the volume included; does not change the result.

        Raises
        ------
        DataError
            If a voxel is not finite, or the work does not fit into the memory.
        """
        need = self.memory_need(volume.grid, volume.voxels.dtype.itemsize, n_jobs)
        need.check(max_memory_mb)
        least, greatest = volume.voxels.min(), volume.voxels.max()
        if not (np.isfinite(least) and np.isfinite(greatest)):  # a NaN makes both NaN
            raise DataError("expected finite voxels, found NaN or infinity; replace them by what they stand for")
        if least == greatest:
            return Localization(Landmarks({}), "empty", "all voxels have one value")
        doubt = hounsfield_doubt(volume)
        image = working_image(volume, self.settings.spacing_mm, n_jobs)
        candidates = self.find_candidates(image, n_jobs, need.left_for("classifying", max_memory_mb))
        if not len(candidates.points_lps_mm):
            return Localization(Landmarks({}), "empty", doubt or "no vertebra found")
        chain = identify(candidates.points_lps_mm, candidates.level_log_scores, self.prior, anchor=anchor)
        return self._verdict(candidates, chain, anchor or {}, doubt)

    def find_candidates(self, image: Volume, n_jobs: int = 1, max_memory_mb: float | None = None) -> Candidates:
        """Find what may be a vertebral body in a working image, with a score for each level.

        `max_memory_mb` bounds what classification takes beside the image and the result.
        """
        grid, settings = image.grid, self.settings
        if self.bodies is None:
            return find_candidates(self.classify(image, n_jobs, max_memory_mb), grid, settings.candidates)
        body = predict_coarse_to_fine(
            self.bodies.forest, self.bodies.boxes, [image.voxels], grid.spacing_mm,
            background=1 - BODY, doubt=_DOUBT, max_memory_mb=max_memory_mb, n_jobs=n_jobs,
        )[BODY]  # fmt: skip
        return find_bodies(body, level_shares(self.levels, image), grid, settings.bodies)

    def classify(self, image: Volume, n_jobs: int = 1, max_memory_mb: float | None = None) -> NDArray[np.float32]:
        """Return p(v | x) for every voxel of a working image, shape (len(CLASSES), z, y, x).

        Where voxels some steps apart are all but certainly background, those between are not looked at.
        `max_memory_mb` bounds what this takes beside the image and the result.
        """
        spacing = image.grid.spacing_mm
        return predict_coarse_to_fine(
            self.levels.forest, self.levels.boxes, [image.voxels], spacing,
            background=BACKGROUND, doubt=_DOUBT, max_memory_mb=max_memory_mb, n_jobs=n_jobs,
        )  # fmt: skip

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
        drawn = expected_sizes(self.settings, sizes)
        drawing = memory_of_drawing(sizes, drawn, drawn.images_mb, ahead)
        return MemoryNeed(drawing | memory_of_growing(self.settings, drawn, n_jobs))

    def memory_need(self, grid: Grid, voxel_bytes: int, n_jobs: int = 1) -> MemoryNeed:
        """Bound the memory of each stage of `localize` for an image that need not have been read.

        Parameters
        ----------
        grid : Grid
            Of the image.
        voxel_bytes : int
            Bytes of one of its voxels.
        n_jobs : int
            Threads.
        """
        work = grid.canonical().isotropic(self.settings.spacing_mm)
        file_mb, voxels_m = np.prod(grid.shape_zyx) * voxel_bytes / 1e6, float(np.prod(work.shape_zyx)) / 1e6
        image_mb, finder = file_mb + 2 * voxels_m, self.bodies or self.levels
        result_mb, table_mb, slab_mb = coarse_to_fine_memory_mb(
            finder.forest, finder.boxes, work.shape_zyx, work.spacing_mm, n_jobs=n_jobs
        )
        maps_mb, naming_mb = 4 * finder.forest.n_outputs * voxels_m, _MODES_BYTES * voxels_m
        if self.bodies is not None:  # the levels are asked for at the candidates, of a table of the whole image
            naming_mb += coarse_to_fine_memory_mb(
                self.levels.forest, self.levels.boxes, work.shape_zyx, work.spacing_mm, stride=1, n_jobs=n_jobs
            )[1]
        return MemoryNeed({
            "reading": Stage(file_mb, file_mb + 1),  # unpacked, then in order
            "resampling": Stage(file_mb, file_mb + RESAMPLING_BYTES * voxels_m),
            "classifying": Stage(image_mb + result_mb, table_mb, slab_mb),
            "naming": Stage(image_mb + maps_mb, naming_mb),
        })  # fmt: skip

    def save(self, path: str | Path) -> None:
        """Write the model: arrays and JSON, nothing that runs."""
        settings = {"settings": asdict(self.settings), "seed": self.seed, "prior": self.prior.to_dict()}
        parts = self.levels.to_parts("level") | (self.bodies.to_parts("body") if self.bodies else {})
        write_model(path, MODEL_KIND, settings, join_parts(parts))

    @classmethod
    def load(cls, path: str | Path) -> VertebraLocalizer:
        """Read a model written by `save`; raises `ModelError` if the file is damaged or of another kind."""
        settings, arrays = read_model(path, MODEL_KIND)
        own, seed, prior = stored_settings(path, settings, VertebraSettings.from_dict)
        localizer = cls(own, seed)
        localizer.prior = prior
        try:
            localizer.levels = BoxForest.from_parts(arrays, "level", len(CLASSES))
            localizer.bodies = BoxForest.from_parts(arrays, "body", 2) if own.bodies.trees else None
            for forest in (localizer.levels, localizer.bodies):
                if forest is not None:
                    check_reach(forest.boxes, own.spacing_mm)
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from error
        return localizer

    def _verdict(
        self, candidates: Candidates, chain: Identification, anchor: Mapping[str, ArrayLike], doubt: str
    ) -> Localization:
        found = {name: i for i, name in enumerate(chain.levels) if name is not None}
        points: dict[str, ArrayLike] = {name: candidates.points_lps_mm[i] for name, i in found.items()}
        # an anchor that no candidate is near is a body that only the user sees
        points |= {level(name).name: point for name, point in anchor.items() if level(name).name not in found}
        landmarks = Landmarks(points, {name: candidates.mass[i] for name, i in found.items()})
        probabilities = {name: float(chain.probabilities[i]) for name, i in found.items()}
        reason = "; ".join(filter(None, (doubt, chain.reason, steps_in_doubt(landmarks, self.prior))))
        if not reason and chain.shift_probability[0] < self.settings.min_probability:
            reason = names_in_doubt(probabilities, self.settings.min_probability)
        status = "empty" if not points else "uncertain" if reason else "ok"
        return Localization(landmarks, status, reason, chain.anchored, chain.shift_probability, probabilities)


def _part(progress: Progress | None, before: int, total: int) -> Progress | None:
    """Count the trees of one forest as part of those of both."""
    return None if progress is None else lambda done, _: progress(before + done, total)
