"""The face of the method for structures of the spine in MR: what it learns is kept, `pipeline` applies it."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from numpy.typing import ArrayLike

from regforest._memory import MemoryNeed
from regforest._threads import Progress
from regforest.discs.channels import channel_notes, channels_by_name
from regforest.discs.learned import LEARNING_STEPS, LearnedDiscs
from regforest.discs.memory import (
    LEARN_LESS,
    memory_of_apply,
    memory_of_fit,
    memory_of_prepare,
    memory_of_training,
)
from regforest.discs.pipeline import DiscPipeline
from regforest.discs.preparing import prepare_records
from regforest.discs.settings import DiscSettings
from regforest.discs.training import TrainingRecord, prepare_record
from regforest.spatial import AnnotatedScan, Grid, Landmarks, Localization, ScanSize, Volume

__all__ = ["DiscLocalizer"]


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
        return memory_of_training(self.settings, sizes, n_jobs)

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
        records = prepare_records(scans, self.settings, self.seed, n_jobs, max_memory_mb)
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
        return self._pipeline(given, n_jobs).segment(given, localization.landmarks)

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
        found, labels = self._pipeline(given, n_jobs).apply(given, anchor or {})
        return replace(found, notes=channel_notes(list(given), self.channels_)), labels

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

    def _pipeline(self, given: Mapping[str, Volume], n_jobs: int) -> DiscPipeline:
        """Return the method for scans that have some of the channels."""
        return DiscPipeline(self.learned_.for_channels(given, self.settings), self.settings, self.seed, n_jobs)

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
