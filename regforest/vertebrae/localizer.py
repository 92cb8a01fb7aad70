"""Vertebrae in CT by dense classification: the method of Glocker et al., MICCAI 2013, step by step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regforest.errors import DataError, ModelError
from regforest.features import BoxFeatures
from regforest.forest import Forest, ForestClassifier, predict_coarse_to_fine
from regforest.io.models import read_model, write_model
from regforest.spatial import AnnotatedScan, Landmarks, Localization, Volume, hounsfield_doubt, level
from regforest.vertebrae.candidates import Candidates, CandidateSettings, find_candidates
from regforest.vertebrae.chain_prior import ChainPrior, fit_chain_prior
from regforest.vertebrae.dense_labels import BACKGROUND, CLASSES
from regforest.vertebrae.identification import Identification, identify
from regforest.vertebrae.sampling import SamplingSettings, draw_training_points, working_image

__all__ = ["VertebraLocalizer", "VertebraSettings"]

MODEL_KIND = "vertebrae"
_STEP_WEIGHT = 0.5  # a forest scores each level by itself: the steps have more to add than to scores of regions


@dataclass(frozen=True)
class VertebraSettings:
    """Everything that can be set in training and applying a `VertebraLocalizer`.

    Attributes
    ----------
    spacing_mm : float
        Spacing of the isotropic working grid.
    features : int
        Size of the pool of box features.
    max_offset_mm : float
        How far from a point its boxes may lie.
    box_size_mm : tuple of float
        Smallest and largest edge of a box.
    trees, max_depth, min_samples_leaf : int
        The forest.
    features_per_node : int
        Candidate features at each node.
    false_per_mm3 : float
        Density of false candidates (ribs, processes) that the chain reckons with.
    min_probability : float
        Least probability of the chain as named, against shifts of it, for the answer to be called certain.
    sampling, candidates : SamplingSettings, CandidateSettings
        How training voxels are drawn, and how modes become candidates.
    """

    spacing_mm: float = 3.0
    features: int = 600
    max_offset_mm: float = 60.0
    box_size_mm: tuple[float, float] = (3.0, 36.0)
    trees: int = 40
    max_depth: int = 22
    min_samples_leaf: int = 4
    features_per_node: int = 60
    false_per_mm3: float = 1e-5
    min_probability: float = 0.6
    sampling: SamplingSettings = field(default_factory=SamplingSettings)
    candidates: CandidateSettings = field(default_factory=CandidateSettings)

    def __post_init__(self) -> None:
        counts = ("features", "trees", "max_depth", "min_samples_leaf", "features_per_node")
        wrong = [name for name in counts if getattr(self, name) < 1]
        wrong += [name for name in ("spacing_mm", "max_offset_mm", "false_per_mm3") if not getattr(self, name) > 0]
        if not 0 < self.box_size_mm[0] <= self.box_size_mm[1]:
            wrong.append("box_size_mm")
        if wrong:
            raise ValueError(f"{wrong[0]} must be positive, got {getattr(self, wrong[0])!r}")

    @classmethod
    def quick(cls) -> VertebraSettings:
        """Return the smallest useful settings, for a smoke run."""
        sampling = SamplingSettings(per_vertebra=60, background_per_vertebra=50)
        return cls(spacing_mm=4.0, features=200, trees=8, max_depth=14, sampling=sampling)


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
    boxes: BoxFeatures
    forest: Forest
    prior: ChainPrior

    def __init__(self, settings: VertebraSettings | None = None, seed: int = 0) -> None:
        self.settings = settings or VertebraSettings()
        self.seed = seed

    def fit(
        self,
        scans: Iterable[AnnotatedScan],
        progress: Callable[[str], None] | None = None,
        n_jobs: int = 1,
    ) -> VertebraLocalizer:
        """Learn from annotated scans; they are read one at a time, none is kept.

        Parameters
        ----------
        scans : iterable of AnnotatedScan
            Training scans; only the first channel and the landmarks are used.
        progress : callable, optional
            Called with a line of text as the work goes on.
        n_jobs : int
            Threads for growing the trees; does not change the result.

        Raises
        ------
        DataError
            If there is no scan, or one without any annotated vertebra in the image.
        """
        say = progress or (lambda _: None)
        s = self.settings
        self.boxes = BoxFeatures.random(
            s.features, seed=self.seed, max_offset_mm=s.max_offset_mm, size_range_mm=s.box_size_mm
        )
        rows: list[NDArray[np.float32]] = []
        labels: list[NDArray[np.float32]] = []
        spines: list[Landmarks] = []
        for number, scan in enumerate(scans):
            say(f"features of {scan.name}")
            x, y = self._training_rows(scan, np.random.default_rng([self.seed, number]))
            rows.append(x)
            labels.append(y)
            spines.append(scan.landmarks)
        if not rows:
            raise DataError("training needs at least one annotated scan, there is none")
        say(f"growing {s.trees} trees on {sum(map(len, rows))} voxels")
        self.forest = self._grow(np.concatenate(rows), np.concatenate(labels), n_jobs)
        self.prior = fit_chain_prior(spines, false_per_mm3=s.false_per_mm3, step_weight=_STEP_WEIGHT)
        return self

    def locate(self, volume: Volume, n_jobs: int = 1) -> Landmarks:
        """Return the centres of the vertebral bodies in view, LPS mm, with scores."""
        return self.localize(volume, n_jobs=n_jobs).landmarks

    def localize(
        self, volume: Volume, anchor: Mapping[str, ArrayLike] | None = None, n_jobs: int = 1
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
        """
        if volume.voxels.min() == volume.voxels.max():
            return Localization(Landmarks({}), "empty", "all voxels have one value")
        doubt = hounsfield_doubt(volume)
        image = working_image(volume, self.settings.spacing_mm)
        probability = self.classify(image, n_jobs)
        candidates = find_candidates(probability, image.grid, self.settings.candidates)
        if not len(candidates.points_lps_mm):
            return Localization(Landmarks({}), "empty", doubt or "no vertebra found")
        chain = identify(candidates.points_lps_mm, candidates.level_log_scores, self.prior, anchor=anchor)
        return self._verdict(candidates, chain, anchor or {}, doubt)

    def classify(self, image: Volume, n_jobs: int = 1) -> NDArray[np.float32]:
        """Return p(v | x) for every voxel of a working image, shape (len(CLASSES), z, y, x).

        Where every second voxel is all but certainly background, those between are not looked at.
        """
        spacing = image.grid.spacing_mm
        return predict_coarse_to_fine(
            self.forest, self.boxes, [image.voxels], spacing, background=BACKGROUND, n_jobs=n_jobs
        )

    def save(self, path: str | Path) -> None:
        """Write the model: arrays and JSON, nothing that runs."""
        settings = {"settings": asdict(self.settings), "seed": self.seed, "prior": self.prior.to_dict()}
        arrays = {f"forest.{k}": v for k, v in self.forest.to_arrays().items()}
        arrays |= {f"boxes.{k}": v for k, v in self.boxes.to_arrays().items()}
        write_model(path, MODEL_KIND, settings, arrays)

    @classmethod
    def load(cls, path: str | Path) -> VertebraLocalizer:
        """Read a model written by `save`; raises `ModelError` if the file is damaged or of another kind."""
        settings, arrays = read_model(path, MODEL_KIND)
        try:
            localizer = cls(_settings_from(settings["settings"]), settings["seed"])
            localizer.prior = ChainPrior.from_dict(settings["prior"])
        except (AttributeError, KeyError, TypeError, ValueError, DataError) as error:
            raise ModelError(f"{path}: the settings are damaged or of another version: {error!r}") from error
        localizer.forest = Forest.from_arrays(_part(arrays, "forest."))
        localizer.boxes = BoxFeatures.from_arrays(_part(arrays, "boxes."))
        shape = localizer.forest.n_features, localizer.forest.n_outputs
        if shape != (len(localizer.boxes), len(CLASSES)):
            expected = f"{len(localizer.boxes)} features and {len(CLASSES)} classes"
            raise ModelError(f"{path}: expected a forest of {expected}, found one of {shape[0]} and {shape[1]}")
        return localizer

    def _training_rows(
        self, scan: AnnotatedScan, rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        image = working_image(scan.image, self.settings.spacing_mm)
        points = draw_training_points(scan, image.grid, self.settings.sampling, rng)
        return self.boxes.evaluate([image.voxels], image.grid.spacing_mm, points.index_zyx), points.labels

    def _grow(self, rows: NDArray[np.float32], labels: NDArray[np.float32], n_jobs: int) -> Forest:
        s = self.settings
        classifier = ForestClassifier(
            n_estimators=s.trees,
            max_depth=s.max_depth,
            min_samples_leaf=s.min_samples_leaf,
            max_features=min(s.features_per_node, s.features),
            random_state=self.seed,
            n_jobs=n_jobs,
        )
        return classifier.fit(rows, labels).forest_

    def _verdict(
        self, candidates: Candidates, chain: Identification, anchor: Mapping[str, ArrayLike], doubt: str
    ) -> Localization:
        found = {name: i for i, name in enumerate(chain.levels) if name is not None}
        points: dict[str, ArrayLike] = {name: candidates.points_lps_mm[i] for name, i in found.items()}
        # an anchor that no candidate is near is a body that only the user sees
        points |= {level(name).name: point for name, point in anchor.items() if level(name).name not in found}
        landmarks = Landmarks(points, {name: candidates.mass[i] for name, i in found.items()})
        probabilities = {name: float(chain.probabilities[i]) for name, i in found.items()}
        reason = doubt or chain.reason
        if not reason and chain.shift_probability[0] < self.settings.min_probability:
            reason = "the whole chain may be shifted by a level"
        status = "empty" if not points else "uncertain" if reason else "ok"
        return Localization(landmarks, status, reason, chain.anchored, chain.shift_probability, probabilities)


def _part(arrays: Mapping[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    return {key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)}


def _settings_from(values: dict[str, Any]) -> VertebraSettings:
    given = dict(values)
    sampling, candidates = SamplingSettings(**given.pop("sampling")), CandidateSettings(**given.pop("candidates"))
    given["box_size_mm"] = tuple(given["box_size_mm"])
    return replace(VertebraSettings(), **given, sampling=sampling, candidates=candidates)
