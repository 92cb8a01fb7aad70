"""From an image to its result files: what ``regforest label`` and ``regforest discs`` do with each case."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regforest.cli._batch import detail, say
from regforest.cli._console import announce_compilation
from regforest.cli._inputs import Input, Reading
from regforest.errors import DataError

if TYPE_CHECKING:
    from regforest._memory import MemoryNeed
    from regforest.spatial import Grid, Localization, Volume

__all__ = ["Worker"]

_VOXEL_BYTES = 4  # at most, of an image as it is read


class Worker:
    """Everything between an image and its result files.

    Parameters
    ----------
    arguments : argparse.Namespace
        Of the command.
    localizer : VertebraLocalizer or DiscLocalizer
        A trained model.
    anchor : mapping of str to tuple of float
        Levels that the user knows, LPS mm.
    made_with : mapping
        What decides a result besides the image; goes into the results.
    """

    def __init__(
        self, arguments: argparse.Namespace, localizer: Any, anchor: Mapping[str, Any], made_with: Mapping[str, Any]
    ) -> None:
        self.arguments, self.localizer, self.anchor, self.made_with = arguments, localizer, anchor, made_with
        from regforest._memory import machine_mb, resident_mb
        from regforest._threads import pin_blas

        announce_compilation()
        pin_blas()  # the localizer has been loaded, and BLAS with it
        self.free_mb = (arguments.max_memory or machine_mb()) - resident_mb()

    def __call__(self, case: Input) -> dict[str, Any]:
        """Read, localize, write; the JSON comes last and so marks the case as complete."""
        return self._done(case, self.arguments.jobs)

    def sparing(self, case: Input) -> dict[str, Any]:
        """Do the same with as little memory as possible."""
        return self._done(case, jobs=1, sparing=True)

    def _done(self, case: Input, jobs: int, sparing: bool = False) -> dict[str, Any]:
        start = time.perf_counter()
        reading = self._read(case, jobs)
        _say_notes(case, reading.notes)
        image = next(iter(reading.channels.values()))
        self._check_anchors(case, image.grid)
        bound_mb = self._need(case, image.grid, jobs).least_mb if sparing else self.free_mb
        found, labels = self._apply(reading.channels, jobs, bound_mb)
        _say_notes(case, found.notes)
        target = self.arguments.out / case.points_stem
        result = self._write(case, target, reading, found, labels)
        size = " x ".join(map(str, image.grid.size_xyz))
        detail(f"{case.name}: {size} voxels, {time.perf_counter() - start:.1f} s, written: {target}.json")
        return result

    def _need(self, case: Input, grid: Grid, jobs: int) -> MemoryNeed:
        """Bound the memory of a case."""
        need: MemoryNeed = self.localizer.memory_need(grid, _VOXEL_BYTES * len(case.files), jobs)
        return need

    def _read(self, case: Input, jobs: int) -> Reading:
        """Read the images; what does not fit into the memory is refused by its headers."""

        def admit(grid: Grid) -> None:
            self._need(case, grid, jobs).check(self.free_mb, case.name)

        return case.read(self.arguments.series_uid, self._preferred_series() if case.is_dicom else (), admit)

    def _preferred_series(self) -> tuple[str, ...]:
        """Say what to look for among the series of a DICOM study."""
        if self.arguments.command == "label":
            return ("ct",)
        learned = self.localizer.channels_
        return ("mr", "sagittal", "t1" if [name.lower() for name in learned] == ["t1"] else "t2")

    def _check_anchors(self, case: Input, grid: Grid) -> None:
        for name, point in self.anchor.items():
            if not grid.contains([point]).all():
                at = ",".join(f"{x:g}" for x in point)
                raise DataError(
                    f"{case.name}: --anchor {name}={at} lies outside the image; expected LPS millimetres (3D Slicer "
                    "shows RAS: turn the signs of the first two)"
                )

    def _apply(
        self, channels: Mapping[str, Volume], jobs: int, max_memory_mb: float
    ) -> tuple[Localization, Volume | None]:
        given = channels["image"] if list(channels) == ["image"] else channels
        options = {"anchor": self.anchor or None, "n_jobs": jobs, "max_memory_mb": max_memory_mb}
        if self.arguments.segment:
            found, labels = self.localizer.apply(given, **options)
            return found, labels
        return self.localizer.localize(given, **options), None

    def _write(
        self, case: Input, target: Path, reading: Reading, found: Localization, labels: Volume | None
    ) -> dict[str, Any]:
        """Write all files of a case, those of its landmarks as `target` and a suffix; returns what the JSON holds."""
        from regforest.io import write_json, write_landmarks

        image = next(iter(reading.channels.values()))
        for suffix in (".mrk.json", ".lml"):
            write_landmarks(found.landmarks, f"{target}{suffix}", image.grid)
        if labels is not None:
            self._write_labels(case, labels)
        if self.arguments.preview:
            from regforest.report import Masks, write_preview

            masks = None if labels is None else Masks(labels, self.localizer.label_names)
            write_preview(image, found, target, case.stem, masks)
        result = {**found.to_json(case.name), "made_with": self.made_with}
        if reading.series_uid is not None:
            result["series_uid"] = reading.series_uid
        write_json(f"{target}.json", result)
        return result

    def _write_labels(self, case: Input, labels: Volume) -> None:
        from regforest.io import write_bids_labels, write_label_image, write_label_tables

        names, stem = self.localizer.label_names, self.arguments.out / case.labels_stem
        like = None if case.is_dicom else next(iter(case.files.values()))
        write_label_image(labels, names, f"{stem}.nii.gz", like)
        write_label_tables(names, stem)
        if case.in_bids:
            write_bids_labels(names, f"{stem}.tsv")


def _say_notes(case: Input, notes: Iterable[str]) -> None:
    for note in notes:
        say(f"{case.name}: {note}")
