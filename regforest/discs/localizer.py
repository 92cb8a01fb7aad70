"""Localization and segmentation of the structures of the spine in MR (Chen et al., MLMI 2014; Chu et al., 2015).

1. coarse: joint displacement estimate over the whole volume, votes, best chain through the modes;
2. the chain as found and shifted by one level is refined and judged by its evidence;
3. fine: joint displacement estimate in each structure's own view;
4. segmentation: joint probability estimate in the own view; the mask's centroid re-localizes the structure.

The method ``"forest"`` asks regression and classification forests where the others estimate from neighbours.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import joblib
import numpy as np
from numpy.typing import ArrayLike, NDArray

from regforest._memory import MemoryNeed, Stage
from regforest._threads import Progress
from regforest.discs.chain import best_chain, with_neighbours
from regforest.discs.channels import channel_notes, channels_by_name
from regforest.discs.hypotheses import Chain, ChainJudge, in_threads
from regforest.discs.learned import LEARNING_STEPS, LearnedDiscs
from regforest.discs.masks import label_image, mask_centre
from regforest.discs.memory import LEARN_LESS, memory_of_apply, memory_of_fit, memory_of_prepare, record_mb
from regforest.discs.own_views import label_view
from regforest.discs.settings import DiscSettings
from regforest.discs.training import TrainingRecord, prepare_record
from regforest.discs.views import Scene
from regforest.errors import DataError
from regforest.spatial import AnnotatedScan, Grid, Landmarks, Localization, ScanSize, Volume

__all__ = ["DiscLocalizer"]

FloatArray = NDArray[np.float64]

_UNCERTAIN_SHIFT = 0.1
_CERTAIN = 1e4  # log-score of an anchor: more than all evidence together


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
    learned_ : LearnedDiscs
        All that was learned (after `fit`).
    """

    learned_: LearnedDiscs

    def __init__(self, settings: DiscSettings | None = None, seed: int = 0) -> None:
        self.settings = settings or DiscSettings()
        self.seed = seed

    @property
    def names_(self) -> tuple[str, ...]:
        """Structures, cranial to caudal."""
        return self.learned_.names

    @property
    def channels_(self) -> tuple[str, ...]:
        """Channels of training, in order."""
        return self.learned_.channels

    @property
    def label_names(self) -> Mapping[int, str]:
        """Values that `segment` writes -> structure."""
        return self.learned_.label_names

    @property
    def segments(self) -> bool:
        """Whether masks were learned; if not, label images are all 0."""
        return self.learned_.label is not None

    def prepare(self, scan: AnnotatedScan, max_memory_mb: float | None = None) -> TrainingRecord:
        """Extract what `fit` needs of one scan; the record can be pickled and used in many fits.

        `max_memory_mb` bounds what this takes, the scan included; `DataError` if it does not fit.
        """
        self.prepare_need(scan.size).check(max_memory_mb, scan.name, LEARN_LESS)
        return prepare_record(scan, self.settings, self.seed)

    def prepare_need(self, size: ScanSize) -> MemoryNeed:
        """Bound the memory of each stage of `prepare` for a scan that need not have been read."""
        return memory_of_prepare(self.settings, size)

    def training_need(self, sizes: Sequence[ScanSize], n_jobs: int = 1) -> MemoryNeed:
        """Bound what it takes to prepare scans, `n_jobs` at a time, before they are read: the only stage."""
        kept_mb = sum(record_mb(self.settings, size) for size in sizes)
        each_mb = max(self.prepare_need(size).most_mb for size in sizes)
        return MemoryNeed({"preparing scans": Stage(kept_mb, n_jobs * each_mb, each_mb)})

    def fit_need(self, records: Sequence[TrainingRecord]) -> MemoryNeed:
        """Bound the memory of each stage of `fit` for scans that have been prepared."""
        return memory_of_fit(self.settings, records)

    def fit(
        self,
        scans: Iterable[AnnotatedScan | TrainingRecord],
        progress: Progress | None = None,
        n_jobs: int = 1,
        max_memory_mb: float | None = None,
    ) -> DiscLocalizer:
        """Learn from annotated scans, or from what `prepare` made of them (then it takes a second or two).

        Parameters
        ----------
        scans : iterable of AnnotatedScan or TrainingRecord
            All in memory at once: of many scans make records, which are small.
        progress : callable, optional
            Called as ``progress(done, total)`` when the scans are prepared and after each part that is learned.
        n_jobs : int
            Threads for preparing scans; does not change the result.
        max_memory_mb : float, optional
            Bound for the memory that this takes, scans and records included; does not change the result.

        Raises
        ------
        DataError
            If there is no scan, the scans' channels differ, or the work does not fit into the memory.
        """
        step = _counter(progress, LEARNING_STEPS + 1)
        given = list(scans)
        records = self._records(given, self._prepare_jobs(given, n_jobs, max_memory_mb))
        given.clear()
        self.fit_need(records).check(max_memory_mb, "training", LEARN_LESS)
        step()
        self.learned_ = LearnedDiscs.fit(records, self.settings, self.seed, step)
        return self

    def locate(self, channels: Volume | Mapping[str, Volume]) -> Landmarks:
        """Return the centres found, LPS millimetres; see `localize` for the verdict on them."""
        return self.localize(channels).landmarks

    def localize(
        self,
        channels: Volume | Mapping[str, Volume],
        anchor: Mapping[str, ArrayLike] | None = None,
        n_jobs: int = 1,
        max_memory_mb: float | None = None,
    ) -> Localization:
        """Find the structures; each is re-localized at the centroid of its mask where masks were learned.

        Parameters
        ----------
        channels : Volume or mapping of str to Volume
            Aligned images on one grid; channels of training may be missing, the result's notes name them.
        anchor : mapping of str to array_like, shape (3,), optional
            Points in LPS millimetres on structures that you know; the chain is laid through them.
        n_jobs : int
            Threads; the result is the same for any number.
        max_memory_mb : float, optional
            Bound for the memory that this takes, the images included.

        Raises
        ------
        DataError
            If no channel of training is among them or one cannot be used, an anchor is not one of `names_`, or the
            work does not fit into the memory.
        ModelError
            If a channel is missing and an earlier version made the model.
        """
        return self.apply(channels, anchor, n_jobs, max_memory_mb)[0]

    def segment(
        self, channels: Volume | Mapping[str, Volume], localization: Localization | None = None, n_jobs: int = 1
    ) -> Volume:
        """Label image on the input grid; values are the keys of `label_names`.

        Raises
        ------
        DataError
            If the training scans had no masks.
        """
        if localization is None:
            return self.apply(channels, n_jobs=n_jobs)[1]
        given = channels_by_name(channels, self.channels_)
        model = self._for_channels(given)
        judge = model._judge(model._scene(given), {}, n_jobs)
        chain = {self.names_.index(n): localization.landmarks[n] for n in localization.landmarks if n in self.names_}
        return model._segmented(judge.scene, model._probability_maps(judge, chain))

    def apply(
        self,
        channels: Volume | Mapping[str, Volume],
        anchor: Mapping[str, ArrayLike] | None = None,
        n_jobs: int = 1,
        max_memory_mb: float | None = None,
    ) -> tuple[Localization, Volume]:
        """Localize and segment in one go, as `localize`; without training masks the label image is all 0."""
        given = channels_by_name(channels, self.channels_)
        if max_memory_mb is not None:
            voxel_bytes = sum(volume.voxels.dtype.itemsize for volume in given.values())
            self.memory_need(next(iter(given.values())).grid, voxel_bytes, n_jobs).check(max_memory_mb)
        found, labels = self._for_channels(given)._applied(given, anchor or {}, n_jobs)
        return replace(found, notes=channel_notes(list(given), self.channels_)), labels

    def _applied(
        self, channels: Mapping[str, Volume], anchor: Mapping[str, ArrayLike], n_jobs: int
    ) -> tuple[Localization, Volume]:
        """Localize and segment a scan that has all of `channels_`."""
        scene = self._scene(channels)
        background = Volume(np.zeros(scene.input_grid.shape_zyx, np.uint8), scene.input_grid)
        if scene.is_constant:
            return Localization(Landmarks({}), "empty", "the image has one value everywhere"), background
        judge = self._judge(scene, self._anchored(anchor), n_jobs)
        chain = self._coarse_chain(judge)
        if not chain:
            return Localization(Landmarks({}), "empty", "no chain of structures was found"), background
        chain, shift, scores = judge.judged(chain)
        if self.learned_.label is None:
            return self._verdict(scene, chain, shift, scores), background
        maps: dict[int, Volume] = {}
        for _ in range(self.settings.passes):
            maps = self._probability_maps(judge, chain)
            centres = {s: mask_centre(volume, self.learned_.label.threshold) for s, volume in maps.items()}
            chain |= {s: centre for s, centre in centres.items() if centre is not None}
        return self._verdict(scene, chain, shift, scores), self._segmented(scene, maps)

    def memory_need(self, grid: Grid, voxel_bytes: int, n_jobs: int = 1) -> MemoryNeed:
        """Bound the memory of each stage of `apply` for images that need not have been read.

        Parameters
        ----------
        grid : Grid
            Of the images.
        voxel_bytes : int
            Bytes of one voxel, all channels together.
        n_jobs : int
            Threads; structures are looked at side by side.
        """
        return memory_of_apply(self.settings, len(self.channels_), grid, voxel_bytes, n_jobs)

    # -- the steps ----------------------------------------------------------------------------------------------

    def _coarse_chain(self, judge: ChainJudge) -> Chain:
        """Votes over the whole volume, modes, and the best chain through them (and through the anchors)."""
        settings, view = self.settings, judge.scene.coarse
        maps = self.learned_.coarse.votes(view, settings, judge.n_jobs)
        expected = (settings.coarse_reach_mm / settings.coarse_grid_mm) ** 3
        candidates = with_neighbours([votes.modes(settings.modes)[0] for votes in maps], self.learned_.steps.mean_mm)
        anchors = {s: view.to_view(point) for s, point in judge.anchor.items()}
        if anchors:  # any place may get another name than it has by itself
            places = [self.learned_.steps.chain_through(s, point) for s, point in anchors.items()]
            everything = np.concatenate([*candidates, *places])
            candidates = [anchors[s][None] if s in anchors else everything for s in range(len(candidates))]
        scores = [np.log(votes.density(c) / expected + 1e-4) for votes, c in zip(maps, candidates, strict=True)]
        for s in anchors:
            scores[s] = np.array([_CERTAIN])
        chosen, _ = best_chain(
            candidates, scores, self.learned_.steps,
            floor_mm=settings.step_floor_mm, absent_log_score=settings.absent_log_score,
        )  # fmt: skip
        found = {s: candidates[s][c] for s, c in enumerate(chosen) if c is not None}
        return {s: view.to_lps(point) for s, point in found.items()}

    def _probability_maps(self, judge: ChainJudge, chain: Chain) -> dict[int, Volume]:
        """Probability of each structure in its own view."""
        label = self.learned_.label
        if label is None:
            raise DataError("this model was trained on points without masks: it localizes but cannot segment")
        shape, scale, frames = label.prior.shape[1:], judge.scale(chain), judge.frames(chain)

        def estimate(s: int) -> Volume:
            view = label_view(judge.scene, chain[s], frames[s], scale, shape, self.settings)
            probability = label.probability(view, s, self.settings)
            start = (np.asarray(view.grid.size_xyz) - np.asarray(probability.shape[::-1])) // 2
            return Volume(probability, view.grid.cropped(start, probability.shape))

        return in_threads(estimate, frames, judge.n_jobs)

    def _segmented(self, scene: Scene, maps: Mapping[int, Volume]) -> Volume:
        values = {name: value for value, name in self.label_names.items()}
        threshold = self.learned_.label.threshold if self.learned_.label is not None else 0.5
        named = {values[self.names_[s]]: volume for s, volume in maps.items()}
        return label_image(named, threshold, scene.input_grid)

    # -- helpers ------------------------------------------------------------------------------------------------

    def _judge(self, scene: Scene, anchor: Mapping[int, FloatArray], n_jobs: int) -> ChainJudge:
        learned = self.learned_
        return ChainJudge(
            scene, learned.steps, learned.unit_steps, learned.fine, learned.shift, self.settings, self.seed, anchor,
            n_jobs,
        )  # fmt: skip

    def _anchored(self, anchor: Mapping[str, ArrayLike]) -> Chain:
        """Check the anchors and number them."""
        chain = {}
        for name, point in anchor.items():
            place = np.asarray(point, dtype=np.float64)
            if name not in self.names_:
                raise DataError(f"anchor {name}: the model knows {', '.join(self.names_)}")
            if place.shape != (3,) or not np.isfinite(place).all():
                raise DataError(f"anchor {name}: expected three finite coordinates, got {place.tolist()}")
            chain[self.names_.index(name)] = place
        return chain

    def _verdict(self, scene: Scene, chain: Chain, shift: dict[int, float], scores: dict[int, float]) -> Localization:
        inside = {s: p for s, p in chain.items() if bool(scene.input_grid.contains(p[None])[0])}
        if not inside:
            return Localization(Landmarks({}), "empty", f"found none of {', '.join(self.names_)}")
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

    def _for_channels(self, given: Mapping[str, Volume]) -> DiscLocalizer:
        """Return the localizer for scans that have some of the channels."""
        model = copy.copy(self)
        model.learned_ = self.learned_.for_channels(given, self.settings)
        return model

    def _scene(self, channels: Mapping[str, Volume]) -> Scene:
        chosen = {name: channels[name] for name in self.channels_}
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
                    f"{records[0].name} has {list(records[0].channels)}; "
                    "train on channels that all scans have"
                )
        return records

    def _prepare_jobs(
        self, scans: Sequence[AnnotatedScan | TrainingRecord], n_jobs: int, max_memory_mb: float | None
    ) -> int:
        """Return how many scans may be prepared side by side; refuse what does not fit."""
        sizes = [scan.size for scan in scans if isinstance(scan, AnnotatedScan)]
        if max_memory_mb is None or not sizes:
            return n_jobs
        kept_mb = sum(scan.size_mb for scan in scans if isinstance(scan, TrainingRecord))
        left_mb = max_memory_mb - kept_mb - sum(size.files_mb for size in sizes)
        need = self.training_need(sizes, n_jobs)
        need.check(left_mb, "training", LEARN_LESS)
        return need.threads(next(iter(need)), left_mb, n_jobs)

    def _prepared(self, scan: AnnotatedScan | TrainingRecord) -> TrainingRecord:
        return scan if isinstance(scan, TrainingRecord) else self.prepare(scan)

    # -- files --------------------------------------------------------------------------------------------------

    def rounded(self) -> DiscLocalizer:
        """Return a copy that remembers its training patches to three digits: its file is about half as large."""
        small = copy.copy(self)
        small.learned_ = self.learned_.rounded()
        return small

    def save(self, path: str | Path) -> None:
        """Write the model: arrays and JSON only."""
        self.learned_.write(path, self.settings, self.seed)

    @classmethod
    def load(cls, path: str | Path) -> DiscLocalizer:
        """Read a model that `save` wrote; raises `ModelError` where it cannot be used."""
        learned, settings, seed = LearnedDiscs.read(path)
        model = cls(settings, seed)
        model.learned_ = learned
        return model


def _counter(progress: Progress | None, total: int) -> Callable[[], None]:
    """Return what counts one more of `total` steps each time it is called."""
    done = itertools.count(1)

    def step() -> None:
        if progress is not None:
            progress(next(done), total)

    return step
