"""Localization and segmentation of the structures of the spine in MR (Chen et al., MLMI 2014).

1. coarse: joint displacement estimate over the whole volume, votes, best chain through the modes;
2. the chain as found and shifted by one level is refined and judged by its evidence;
3. fine: joint displacement estimate in each structure's own view;
4. segmentation: joint probability estimate in the own view; the mask's centroid re-localizes the structure.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from numpy.typing import NDArray

from regforest.discs.chain import StepModel, best_chain
from regforest.discs.evidence import ShiftModel
from regforest.discs.packing import pack, unpack
from regforest.discs.search import CoarseModel, FineModel
from regforest.discs.segmentation import LabelModel, largest_component, on_input_grid
from regforest.discs.settings import DiscSettings
from regforest.discs.training import (
    NOMINAL_STEP_MM,
    TrainingRecord,
    fine_view,
    label_view,
    prepare_record,
    read_probes,
)
from regforest.discs.views import Scene, chain_frames
from regforest.errors import DataError, ModelError
from regforest.io.models import read_model, write_model
from regforest.spatial import AnnotatedScan, Landmarks, Localization, Volume, sort_levels

__all__ = ["DiscLocalizer"]

FloatArray = NDArray[np.float64]
Chain = dict[int, FloatArray]

_KIND = "discs"
_UNCERTAIN_SHIFT = 0.1


class DiscLocalizer:
    """Find and segment the structures that the training scans name: discs, bodies, anything in a chain.

    Parameters
    ----------
    settings : DiscSettings, optional
        All numbers of the method.
    seed : int
        Seed of every random draw.

    Attributes
    ----------
    names_ : tuple of str
        Structures, cranial to caudal (after `fit`).
    channels_ : tuple of str
        Channels it was trained with, in order.
    label_names : dict of int to str
        Values that `segment` writes.
    """

    def __init__(self, settings: DiscSettings | None = None, seed: int = 0) -> None:
        self.settings = settings or DiscSettings()
        self.seed = seed

    def prepare(self, scan: AnnotatedScan) -> TrainingRecord:
        """Extract what `fit` needs of one scan; the record can be pickled and used in many fits."""
        return prepare_record(scan, self.settings, self.seed)

    def fit(
        self,
        scans: Iterable[AnnotatedScan | TrainingRecord],
        progress: Callable[[str, float], None] | None = None,
        n_jobs: int = 1,
    ) -> DiscLocalizer:
        """Learn from annotated scans, or from what `prepare` made of them (then it takes a second or two).

        Raises
        ------
        DataError
            If there is no scan, or the scans' channels differ.
        """
        records = self._records(list(scans), n_jobs)
        self.channels_ = records[0].channels
        self.names_ = tuple(sort_levels({name for record in records for name in record.structures}))
        self.label_names = _label_names(records, self.names_)
        self.steps_ = StepModel.fit(self.names_, [record.chain_mm for record in records])
        self.unit_steps_ = _unit_steps(records, self.names_)
        self.coarse_ = CoarseModel.fit(records, self.names_, self.settings, self.seed)
        self.fine_ = FineModel.fit(records, self.names_, self.settings, self.seed)
        self.shift_ = ShiftModel.fit(records, self.names_, self.fine_.projection)
        with_masks = [record for record in records if record.masks.size]
        self.label_: LabelModel | None = None
        if with_masks:
            self.label_ = LabelModel.fit(with_masks, self.names_, self.settings, self.seed)
        if progress is not None:
            progress("fit", 1.0)
        return self

    def locate(self, channels: Volume | Mapping[str, Volume]) -> Landmarks:
        """Return the centres found, LPS millimetres; see `localize` for the verdict on them."""
        return self.localize(channels).landmarks

    def localize(self, channels: Volume | Mapping[str, Volume]) -> Localization:
        """Find the structures; each is re-localized at the centroid of its mask where masks were learned."""
        return self.apply(channels)[0]

    def segment(self, channels: Volume | Mapping[str, Volume], localization: Localization | None = None) -> Volume:
        """Label image on the input grid; values are the keys of `label_names`.

        Raises
        ------
        DataError
            If the training scans had no masks.
        """
        if localization is None:
            return self.apply(channels)[1]
        scene = self._scene(channels)
        chain = {self.names_.index(n): localization.landmarks[n] for n in localization.landmarks if n in self.names_}
        return self._segmented(scene, self._probability_maps(scene, chain))

    def apply(self, channels: Volume | Mapping[str, Volume]) -> tuple[Localization, Volume]:
        """Localize and segment in one go; without training masks the label image is all 0."""
        scene = self._scene(channels)
        background = Volume(np.zeros(scene.input_grid.shape_zyx, np.uint8), scene.input_grid)
        if scene.is_constant:
            return Localization(Landmarks({}), "empty", "the image has one value everywhere"), background
        chain = self._coarse_chain(scene)
        if not chain:
            return Localization(Landmarks({}), "empty", "no chain of structures was found"), background
        chain, shift, scores = self._judged(scene, chain)
        if self.label_ is None:
            return self._verdict(scene, chain, shift, scores), background
        maps: dict[int, Volume] = {}
        for _ in range(self.settings.passes):
            maps = self._probability_maps(scene, chain)
            chain = self._recentred(chain, maps)
        return self._verdict(scene, chain, shift, scores), self._segmented(scene, maps)

    # -- the steps ----------------------------------------------------------------------------------------------

    def _coarse_chain(self, scene: Scene) -> Chain:
        """Votes over the whole volume, modes, and the best chain through them."""
        settings = self.settings
        maps = self.coarse_.votes(scene.coarse, settings)
        expected = (settings.coarse_reach_mm / settings.coarse_grid_mm) ** 3
        candidates = [votes.modes(settings.modes)[0] for votes in maps]
        candidates = _with_neighbours(candidates, self.steps_.mean_mm)
        scores = [np.log(votes.density(c) / expected + 1e-4) for votes, c in zip(maps, candidates, strict=True)]
        chosen, _ = best_chain(
            candidates, scores, self.steps_,
            floor_mm=settings.step_floor_mm, absent_log_score=settings.absent_log_score,
        )  # fmt: skip
        found = {s: candidates[s][c] for s, c in enumerate(chosen) if c is not None}
        return {s: scene.coarse.to_lps(point) for s, point in found.items()}

    def _judged(self, scene: Scene, chain: Chain) -> tuple[Chain, dict[int, float], dict[int, float]]:
        """Refine the chain and its neighbours one level up and down, and take the one with most evidence."""
        hypotheses = {shift: self._refined(scene, self._shifted(scene, chain, shift)) for shift in (-1, 0, 1)}
        misfit = {shift: self._misfit(scene, moved) for shift, (moved, _) in hypotheses.items()}
        odds = [self.shift_.log_odds(misfit[upper], misfit[upper + 1]) for upper in (-1, 0)]
        evidence = {-1: odds[0], 0: 0.0, 1: -odds[1]}
        for shift, (moved, _) in hypotheses.items():
            evidence[shift] += self._chain_log_score(scene, moved)
        best = max(evidence, key=lambda shift: evidence[shift])
        total = sum(np.exp(value - evidence[best]) for value in evidence.values())
        around = {shift - best: float(np.exp(value - evidence[best]) / total) for shift, value in evidence.items()}
        moved, scores = hypotheses[best]
        return moved, {shift: around.get(shift, 0.0) for shift in (-1, 0, 1)}, scores

    def _misfit(self, scene: Scene, chain: Chain) -> dict[int, float]:
        """How little each structure, in its own view, looks like the training scans."""
        scale, settings = self._scale(chain), self.settings
        probes = {
            s: read_probes(fine_view(scene, chain[s], axes, scale, settings), settings)
            for s, axes in self._frames(scene, chain).items()
        }
        return self.shift_.misfit(probes, self.fine_.projection)

    def _chain_log_score(self, scene: Scene, chain: Chain) -> float:
        """Log-score of the steps and of the place of the chain in the field of view."""
        along = {s: point @ scene.axes for s, point in chain.items()}
        heights = {s: float(p[2] - scene.field_centre_mm[2]) for s, p in along.items()}
        total = self.shift_.field_log_score(heights, scene.field_extent_mm)
        for s in chain:
            if s + 1 in chain:
                step = self.steps_.log_score(s, along[s][None], along[s + 1][None], self.settings.judged_floor_mm)
                total += float(step[0, 0])
        return total

    def _shifted(self, scene: Scene, chain: Chain, shift: int) -> Chain:
        """Name every place by the structure one higher or lower; the learned step leads beyond the end."""
        numbers = sorted(chain)
        if shift == 0 or len(numbers) < 2:
            return chain
        points = [chain[s] for s in numbers]
        if shift > 0:
            moved = [*points[1:], points[-1] + scene.axes @ self.steps_.mean_mm[numbers[-2]]]
        else:
            moved = [points[0] - scene.axes @ self.steps_.mean_mm[numbers[0]], *points[:-1]]
        return dict(zip(numbers, moved, strict=True))

    def _refined(self, scene: Scene, chain: Chain) -> tuple[Chain, dict[int, float]]:
        """One fine step for every structure of the chain."""
        refined, agreement = {}, {}
        scale = self._scale(chain)
        for s, axes in self._frames(scene, chain).items():
            view = fine_view(scene, chain[s], axes, scale, self.settings)
            rng = np.random.default_rng([self.seed, 4, s])
            centre, agreement[s] = self.fine_.centre(view, s, self.settings, rng)
            refined[s] = view.to_lps(centre)
        return refined, agreement

    def _probability_maps(self, scene: Scene, chain: Chain) -> dict[int, Volume]:
        """Probability of each structure in its own view."""
        if self.label_ is None:
            raise DataError("this model was trained on points without masks: it localizes but cannot segment")
        maps = {}
        shape, scale = self.label_.prior.shape[1:], self._scale(chain)
        for s, axes in self._frames(scene, chain).items():
            view = label_view(scene, chain[s], axes, scale, shape, self.settings)
            probability = self.label_.probability(view, s, self.settings)
            start = (np.asarray(view.grid.size_xyz) - np.asarray(probability.shape[::-1])) // 2
            maps[s] = Volume(probability, view.grid.cropped(start, probability.shape))
        return maps

    def _recentred(self, chain: Chain, maps: Mapping[int, Volume]) -> Chain:
        """Move each centre to the centroid of its mask; an empty mask leaves it where it is."""
        moved = dict(chain)
        for s, volume in maps.items():
            index = np.argwhere(largest_component(volume.voxels >= self._threshold))
            if len(index):
                moved[s] = volume.grid.index_to_lps(index.mean(axis=0)[::-1])
        return moved

    def _segmented(self, scene: Scene, maps: Mapping[int, Volume]) -> Volume:
        """Threshold on the input grid; where two structures claim a voxel, the likelier one has it."""
        grid = scene.input_grid
        labels = np.zeros(grid.shape_zyx, np.min_scalar_type(max(self.label_names, default=1)))
        strongest = np.full(grid.shape_zyx, self._threshold, np.float32)
        values = {name: value for value, name in self.label_names.items()}
        claims = {}
        for s, volume in maps.items():
            block, probability = on_input_grid(volume, grid)
            better = probability >= strongest[block]
            strongest[block][better] = probability[better]
            labels[block][better] = values[self.names_[s]]
            claims[s] = block
        for s, block in claims.items():
            own = labels[block] == values[self.names_[s]]
            labels[block][own & ~largest_component(own)] = 0
        return Volume(labels, grid)

    # -- helpers ------------------------------------------------------------------------------------------------

    @property
    def _threshold(self) -> float:
        return self.label_.threshold if self.label_ is not None else 0.5

    def _frames(self, scene: Scene, chain: Chain) -> dict[int, FloatArray]:
        """Return the axes of each structure's own view: turned along the chain."""
        frames = chain_frames({str(s): chain[s] for s in sorted(chain)}, scene.axes)
        return {int(s): axes for s, axes in frames.items()}

    def _scale(self, chain: Chain) -> float:
        pairs = [s for s in chain if s + 1 in chain]
        if not pairs:
            return 1.0
        lengths = [float(np.linalg.norm(chain[s + 1] - chain[s])) for s in pairs]
        return float(np.sum(lengths) / np.sum(self.unit_steps_[pairs]))

    def _verdict(self, scene: Scene, chain: Chain, shift: dict[int, float], scores: dict[int, float]) -> Localization:
        inside = {s: p for s, p in chain.items() if bool(scene.input_grid.contains(p[None])[0])}
        reasons = []
        if shift[0] < 1 - _UNCERTAIN_SHIFT:
            reasons.append(f"the chain may be shifted by one level (probability {1 - shift[0]:.2f})")
        missing = [name for s, name in enumerate(self.names_) if s not in inside]
        if missing:
            reasons.append(f"not in the image or not found: {', '.join(missing)}")
        landmarks = Landmarks(
            {self.names_[s]: p for s, p in inside.items()}, {self.names_[s]: scores[s] for s in inside}
        )
        return Localization(
            landmarks, "uncertain" if reasons else "ok", "; ".join(reasons),
            anchored=shift[0] >= 1 - _UNCERTAIN_SHIFT, shift_probability=shift,
            probabilities={self.names_[s]: shift[0] for s in inside},
        )  # fmt: skip

    def _scene(self, channels: Volume | Mapping[str, Volume]) -> Scene:
        given = {"image": channels} if isinstance(channels, Volume) else dict(channels)
        if len(given) == 1 and len(self.channels_) == 1:
            given = {self.channels_[0]: next(iter(given.values()))}
        missing = [name for name in self.channels_ if name not in given]
        if missing:
            raise DataError(
                f"the model needs the channels {list(self.channels_)}, got {list(given)}: {missing} missing; "
                "give all of them or train on those you have"
            )
        chosen = {name: given[name] for name in self.channels_}
        return Scene(chosen, self.settings.coarse_spacing_mm, self.settings.normalise_mm)

    def _records(self, scans: Sequence[AnnotatedScan | TrainingRecord], n_jobs: int) -> list[TrainingRecord]:
        if not scans:
            raise DataError("expected at least one annotated scan to learn from, got none")
        jobs = (joblib.delayed(self._prepared)(scan) for scan in scans)
        records: list[TrainingRecord] = list(joblib.Parallel(n_jobs=n_jobs, prefer="threads")(jobs))
        for record in records:
            if record.channels != records[0].channels:
                raise DataError(
                    f"{record.name} has the channels {list(record.channels)}, "
                    f"{records[0].name} has {list(records[0].channels)}; they must be the same"
                )
        return records

    def _prepared(self, scan: AnnotatedScan | TrainingRecord) -> TrainingRecord:
        return scan if isinstance(scan, TrainingRecord) else self.prepare(scan)

    # -- files --------------------------------------------------------------------------------------------------

    def save(self, path: str | Path) -> None:
        """Write the model: arrays and JSON only."""
        own = {
            "settings": self.settings.to_json(), "seed": self.seed, "names": list(self.names_),
            "channels": list(self.channels_),
            "label_names": {str(value): name for value, name in self.label_names.items()},
        }  # fmt: skip
        arrays: dict[str, NDArray[Any]] = {"unit_steps": self.unit_steps_}
        for name in _PARTS:
            part = getattr(self, f"{name}_")
            own[name] = None if part is None else pack(name, part, arrays)
        write_model(path, _KIND, own, arrays)

    @classmethod
    def load(cls, path: str | Path) -> DiscLocalizer:
        """Read a model that `save` wrote; raises `ModelError` where it cannot be used."""
        stored, arrays = read_model(path, _KIND)
        try:
            model = cls(DiscSettings.from_json(stored["settings"]), int(stored["seed"]))
            model.names_, model.channels_ = tuple(stored["names"]), tuple(stored["channels"])
            model.label_names = {int(value): str(name) for value, name in stored["label_names"].items()}
            model.unit_steps_ = arrays["unit_steps"]
            for name, kind in _PARTS.items():
                part = None if stored[name] is None else unpack(name, kind, stored[name], arrays)
                setattr(model, f"{name}_", part)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ModelError(f"{path}: the model of discs is damaged: {error!r}") from error
        return model


_PARTS: dict[str, type[Any]] = {
    "steps": StepModel, "coarse": CoarseModel, "fine": FineModel, "shift": ShiftModel, "label": LabelModel,
}  # fmt: skip


def _label_names(records: Sequence[TrainingRecord], names: Sequence[str]) -> dict[int, str]:
    """Values of the training masks where they agree, else 1, 2, ... from cranial to caudal."""
    values: dict[str, set[int]] = {}
    for record in records:
        for name, value in record.label_values.items():
            values.setdefault(name, set()).add(value)
    agreed = {name: next(iter(v)) for name, v in values.items() if len(v) == 1}
    if len(agreed) == len(names) and len(set(agreed.values())) == len(names):
        return {agreed[name]: name for name in names}
    return {i + 1: name for i, name in enumerate(names)}


def _unit_steps(records: Sequence[TrainingRecord], names: Sequence[str]) -> FloatArray:
    """Mean length of each step in units of the records' scales, millimetres."""
    lengths: list[list[float]] = [[] for _ in names[1:]]
    for record in records:
        for pair, (a, b) in enumerate(itertools.pairwise(names)):
            if a in record.chain_mm and b in record.chain_mm:
                step = float(np.linalg.norm(record.chain_mm[b] - record.chain_mm[a]))
                lengths[pair].append(step / record.scale)
    return np.array([np.mean(steps) if steps else NOMINAL_STEP_MM for steps in lengths])


def _with_neighbours(candidates: list[FloatArray], steps_mm: FloatArray) -> list[FloatArray]:
    """Add to each structure's candidates the places that its neighbours' candidates point to."""
    added = []
    for s, own in enumerate(candidates):
        parts = [own]
        if s > 0:
            parts.append(candidates[s - 1] + steps_mm[s - 1])
        if s + 1 < len(candidates):
            parts.append(candidates[s + 1] - steps_mm[s])
        added.append(np.concatenate(parts))
    return added
