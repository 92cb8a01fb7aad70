"""How much memory it takes to locate and segment discs, and to learn it, before an image has been read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from regforest._memory import MemoryNeed, Stage
from regforest.discs.nearest import layout_bytes
from regforest.discs.own_views import PROBES_MM
from regforest.discs.settings import DiscSettings, PatchSettings
from regforest.discs.training import TrainingRecord
from regforest.forest import TreeSettings, growing_memory
from regforest.spatial import Grid, ScanSize

__all__ = ["LEARN_LESS", "memory_of_apply", "memory_of_fit", "memory_of_prepare", "memory_of_training"]

LEARN_LESS = "learn from fewer scans, channels or patches (coarse_patches, label_patches), or from coarser scans"
"""What to do about learning that does not fit."""

# of what was measured
_SCENE_BYTES = 20  # of a voxel of the coarse image and a channel: itself, levelled, means, deviations
_LEVELLING_BYTES = 24
_PATCH_BYTES = 20_000  # of a patch of the search: features, neighbours, links, votes
_LABEL_BYTES = 7  # of a voxel of the image: label, strongest claim, masks
_SEARCH_MB, _VIEW_MB = 50.0, 50.0
_MASK_MM = 64.0  # edge of the view of a structure's mask
_STEP_MM, _MOST_LEVELS = 20.0, 28  # where structures are not counted before they are read
_BORDER_BYTES = 60  # of a voxel of a mask whose border is sought: two distances, and places
_FITTED_ROWS = 20_000
_PLACE_BYTES = 24  # of a patch: where it lies, what it belongs to


def memory_of_apply(settings: DiscSettings, channels: int, grid: Grid, voxel_bytes: int, n_jobs: int) -> MemoryNeed:
    """Bound the memory of each stage of `DiscLocalizer.apply`.

    Parameters
    ----------
    settings : DiscSettings
        Of the method.
    channels : int
        Number of images.
    grid : Grid
        Of the images.
    voxel_bytes : int
        Bytes of one voxel, all channels together.
    n_jobs : int
        Threads; structures are looked at side by side.
    """
    coarse = grid.canonical().isotropic(settings.coarse_spacing_mm)
    given_m, coarse_m = (float(np.prod(g.shape_zyx)) / 1e6 for g in (grid, coarse))
    files_mb = given_m * voxel_bytes
    scene_mb = files_mb + channels * (4 * given_m + _SCENE_BYTES * coarse_m)
    patches_m = float(np.prod(coarse.extent_mm / settings.coarse_grid_mm + 1)) / 1e6
    return MemoryNeed({
        "reading": Stage(files_mb, files_mb + 1),
        "levelling": Stage(scene_mb, channels * _LEVELLING_BYTES * coarse_m),
        "searching": Stage(scene_mb, _SEARCH_MB + patches_m * _PATCH_BYTES),
        "segmenting": Stage(scene_mb, _LABEL_BYTES * given_m + _VIEW_MB * n_jobs),
    })  # fmt: skip


class _Patches(NamedTuple):
    """Patches of one of the three steps of a scan: how many views of how many rows and columns."""

    views: int
    rows: int
    columns: int
    row_bytes: int
    view_mb: float

    @property
    def mb(self) -> float:
        """What is kept, features in half precision."""
        return self.views * self.rows * (2 * self.columns + self.row_bytes) / 1e6

    @property
    def reading_mb(self) -> float:
        """What it takes to read them from one view."""
        return self.view_mb + 6 * self.rows * self.columns / 1e6


def _record_mb(settings: DiscSettings, size: ScanSize) -> float:
    """Bound the size of the record of a scan."""
    probes = 8 * (_levels(size) + 4) * len(PROBES_MM) * settings.fine_patch.columns(
        settings.coarse_spacing_mm, size.channels
    )  # fmt: skip
    return sum(part.mb for part in _patches(settings, size)) + (_mask_bytes(settings, size) + probes) / 1e6


def memory_of_prepare(settings: DiscSettings, size: ScanSize) -> MemoryNeed:
    """Bound the memory of each stage of preparing a scan, the scan itself included."""
    coarse = size.grid.canonical().isotropic(settings.coarse_spacing_mm)
    given_m, coarse_m = (float(np.prod(g.shape_zyx)) / 1e6 for g in (size.grid, coarse))
    scene_mb = size.files_mb + size.channels * (4 * given_m + _SCENE_BYTES * coarse_m)
    parts, masks = _patches(settings, size), _mask_bytes(settings, size) / 1e6
    border_mb = _BORDER_BYTES * masks / (4 * _levels(size))
    kept_mb = scene_mb + _record_mb(settings, size)
    return MemoryNeed({
        "reading": Stage(size.files_mb, size.files_mb + 1),
        "levelling": Stage(scene_mb, size.channels * _LEVELLING_BYTES * coarse_m),
        "reading masks": Stage(scene_mb + parts[0].mb + masks, (_levels(size) + 5) * given_m * size.masks + masks),
        "reading patches": Stage(kept_mb, max(part.reading_mb for part in parts if part.rows) + border_mb),
        "putting patches together": Stage(kept_mb, max(part.mb for part in parts)),
    })  # fmt: skip


def memory_of_training(settings: DiscSettings, sizes: Sequence[ScanSize], n_jobs: int) -> MemoryNeed:
    """Bound what it takes to prepare scans, `n_jobs` at a time, the records included: the only stage."""
    kept_mb = sum(_record_mb(settings, size) for size in sizes)
    each_mb = max(memory_of_prepare(settings, size).most_mb for size in sizes)
    return MemoryNeed({"preparing scans": Stage(kept_mb, n_jobs * each_mb, each_mb)})


def memory_of_fit(settings: DiscSettings, records: Sequence[TrainingRecord]) -> MemoryNeed:
    """Bound the memory of each stage of learning from prepared scans, the records included."""
    kept_mb, structures = sum(record.size_mb for record in records), len({s for r in records for s in r.structures})
    need, learned_mb = MemoryNeed(), 0.0
    for name, patch, outputs in (
        ("coarse", settings.coarse_patch, 5 * structures), ("fine", settings.fine_patch, 5),
        ("label", settings.label_patch, 2),
    ):  # fmt: skip
        counts = [len(getattr(record, f"{name}_features")) for record in records]
        columns = max((getattr(record, f"{name}_features").shape[1] for record in records), default=0)
        work_mb = _projection_mb(counts, columns)
        if settings.method == "forest":
            rows = min(sum(counts), settings.forest.rows) + len(records)
            work_mb = max(work_mb, _forest_mb(settings, rows, max(counts), columns + 4, outputs))
        else:
            rows = min(sum(counts), settings.coarse_rows) + len(records) if name == "coarse" else sum(counts)
            row_bytes = 4 * (patch.components + 4) + 2.4 * outputs + _PLACE_BYTES
            kept_bytes, layout = layout_bytes(patch.components + 4)
            work_mb = max(work_mb, (3.5 * rows * row_bytes + 2 * max(counts) * columns) / 1e6, rows * layout / 1e6)
            learned_mb += rows * (row_bytes + kept_bytes) / 1e6
        if name == "label":  # the masks of all scans, brought to one size
            largest = np.max([record.masks.shape[1:] for record in records], axis=0)
            work_mb += 12 * len(records) * structures * float(np.prod(largest)) / 1e6
        need[f"learning the {name} step"] = Stage(kept_mb + learned_mb, work_mb + 8)
    return need


def _levels(size: ScanSize) -> int:
    """Count structures, or those that there is room for."""
    height_mm = float(size.grid.canonical().extent_mm[2])
    return size.levels or min(_MOST_LEVELS, int(height_mm / _STEP_MM) + 1)


def _patches(settings: DiscSettings, size: ScanSize) -> tuple[_Patches, _Patches, _Patches]:
    """Coarse, fine and label patches of a scan."""
    s, channels, levels = settings, size.channels, _levels(size)
    coarse = s.coarse_patch, s.coarse_spacing_mm
    fine = s.fine_patch, s.coarse_spacing_mm
    label = s.label_patch, s.label_spacing_mm
    whole = np.asarray(size.grid.canonical().isotropic(s.coarse_spacing_mm).shape_zyx, dtype=float)
    near = np.full(3, (2.4 * s.fine_radius_mm + max(s.fine_patch.sizes_mm)) / s.coarse_spacing_mm + 3)
    own = np.full(3, (_MASK_MM + s.label_margin_mm + max(s.label_patch.sizes_mm)) / s.label_spacing_mm + 3)
    views = 2 * sum(len(s.turns_deg) if scale == 1.0 else 1 for scale in s.scales)

    def part(count: int, rows: int, patch: tuple[PatchSettings, float], row_bytes: int, shape: object) -> _Patches:
        columns = patch[0].columns(patch[1], channels)
        return _Patches(count, rows, columns, row_bytes, _view_mb(*patch, np.asarray(shape), channels))

    return (
        part(views, s.coarse_patches // channels, coarse, 12 * levels, whole),
        part(2 * levels * len(s.fine_turns_deg), s.fine_patches, fine, _PLACE_BYTES, near),
        part(2 * levels * size.masks, s.label_patches // channels * size.masks, label, _PLACE_BYTES + 4, own),
    )


def _view_mb(patch: PatchSettings, spacing_mm: float, shape: np.ndarray, channels: int) -> float:
    """Megabytes of a view and of the means and deviations of its blocks."""
    blocks = patch.block_voxels(spacing_mm)
    padded = float(np.prod(shape + 2 * (max(blocks) // 2) + 1))
    return (channels * float(np.prod(shape)) * (4 + 8 * len(blocks)) + 20 * padded) / 1e6


def _mask_bytes(settings: DiscSettings, size: ScanSize) -> float:
    return 4.0 * size.masks * _levels(size) * (_MASK_MM / settings.label_spacing_mm) ** 3


def _projection_mb(counts: Sequence[int], columns: int) -> float:
    """Megabytes that it takes to find principal components."""
    share = max(1, _FITTED_ROWS // len(counts))
    return (28 * columns**2 + 6 * columns * min(share, max(counts))) / 1e6


def _forest_mb(settings: DiscSettings, rows: int, largest: int, columns: int, outputs: int) -> float:
    """Megabytes of the features of a forest's patches, as they are put together, and of growing it."""
    own = settings.forest
    tree = TreeSettings(max(1, int(own.feature_share * columns)), min_samples_leaf=own.min_leaf)
    together = rows * columns * 8 + largest * columns * 10
    sums = rows * (16 * outputs + 60 * own.trees)
    grown = growing_memory(rows, columns, max(outputs, 6), tree, own.trees, 1)
    return (max(together, 4 * rows * columns + 1e6 * grown.most_mb) + 4 * rows * columns + sums) / 1e6
