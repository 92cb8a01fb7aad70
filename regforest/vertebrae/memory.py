"""How much memory it takes to learn to find vertebrae, before a scan has been read or a tree grown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from regforest._memory import MemoryNeed, Stage
from regforest.forest import forest_memory_mb, growing_memory
from regforest.spatial import ScanSize
from regforest.vertebrae.bodies import BodySettings
from regforest.vertebrae.dense_labels import CLASSES
from regforest.vertebrae.settings import VertebraSettings, tree_settings

__all__ = ["LEARN_LESS", "RESAMPLING_BYTES", "DrawnSizes", "expected_sizes", "memory_of_drawing", "memory_of_growing"]

RESAMPLING_BYTES = 14
"""Of a voxel of the working image: float32, clipped, rounded, int16."""

GROWING_LEVELS, GROWING_BODIES = "growing the forest of the levels", "growing the forest of the bodies"
"""Stages."""

LEARN_LESS = "learn from fewer or coarser scans, draw fewer voxels (sampling.*), or use fewer features"
"""What to do about learning that does not fit."""

_SCANS_AT_ONCE = 2  # the one before is let go when the next has been read
_INDEX_BYTES = 24
_DRAWING_BYTES = 1200  # of a training voxel of one scan: places, and labels in double precision
_VOXEL_BYTES = 132  # what is kept of it: place and labels


class DrawnSizes(NamedTuple):
    """How much there is to learn from.

    Attributes
    ----------
    shapes_zyx : sequence of (int, int, int)
        Of the working images.
    levels, bodies : sequence of int
        Voxels of each image, for either forest.
    """

    shapes_zyx: Sequence[tuple[int, ...]]
    levels: Sequence[int]
    bodies: Sequence[int]

    @property
    def images_mb(self) -> float:
        """Megabytes of the working images."""
        return sum(2 * float(np.prod(shape, dtype=np.float64)) for shape in self.shapes_zyx) / 1e6


def expected_sizes(settings: VertebraSettings, sizes: Sequence[ScanSize]) -> DrawnSizes:
    """Return the most that can be drawn from scans."""
    shapes = [size.grid.canonical().isotropic(settings.spacing_mm).shape_zyx for size in sizes]
    sampling = settings.sampling

    def background(size: ScanSize, per_vertebra: int) -> int:
        return 2 * max(1, size.levels * per_vertebra // 2)

    levels = [
        size.levels * sampling.per_vertebra + background(size, sampling.background_per_vertebra) for size in sizes
    ]
    bodies = [
        own + background(size, settings.bodies.background_per_vertebra) if settings.bodies.trees else 0
        for own, size in zip(levels, sizes, strict=True)
    ]
    return DrawnSizes(shapes, levels, bodies)


def memory_of_drawing(sizes: Sequence[ScanSize], drawn: DrawnSizes, kept_mb: float, ahead: int = 0) -> MemoryNeed:
    """Bound what it takes to read scans one after the other, and to draw voxels of each.

    Parameters
    ----------
    sizes : sequence of ScanSize
        The scans.
    drawn : DrawnSizes
        What is drawn of them.
    kept_mb : float
        Working images that are kept meanwhile.
    ahead : int
        How many scans are read ahead.
    """
    files_mb = max(size.files_mb for size in sizes)
    work = max(float(np.prod(shape, dtype=np.float64)) for shape in drawn.shapes_zyx)
    voxels = [levels + bodies for levels, bodies in zip(drawn.levels, drawn.bodies, strict=True)]
    held_mb = (_SCANS_AT_ONCE + ahead) * files_mb + kept_mb + sum(voxels) * _VOXEL_BYTES / 1e6
    return MemoryNeed({
        "reading scans": Stage(held_mb, files_mb + 1),
        "drawing voxels": Stage(held_mb, (RESAMPLING_BYTES * work + _DRAWING_BYTES * max(voxels)) / 1e6),
    })  # fmt: skip


def memory_of_growing(settings: VertebraSettings, drawn: DrawnSizes, n_jobs: int) -> MemoryNeed:
    """Bound what it takes to grow both forests on voxels that were drawn."""
    kept = 1e6 * drawn.images_mb + _label_bytes(drawn.levels, len(CLASSES)) + _label_bytes(drawn.bodies, 2)
    levels = _forest_memory(settings, settings.spacing_mm, drawn, drawn.levels, len(CLASSES), n_jobs)
    need = MemoryNeed({GROWING_LEVELS: levels._replace(held_mb=levels.held_mb + kept / 1e6)})
    if settings.bodies.trees:
        bodies = _forest_memory(settings.bodies, settings.spacing_mm, drawn, drawn.bodies, 2, n_jobs)
        kept += 1e6 * forest_memory_mb(sum(drawn.levels), len(CLASSES), tree_settings(settings), settings.trees)
        need[GROWING_BODIES] = bodies._replace(held_mb=bodies.held_mb + kept / 1e6)
    return need


def _label_bytes(rows: Sequence[int], outputs: int) -> float:
    """Of voxels with their labels, which are there twice while those of all scans are put together."""
    return float(sum(rows)) * (_INDEX_BYTES + 8 * outputs)


def _forest_memory(
    part: VertebraSettings | BodySettings, spacing_mm: float, drawn: DrawnSizes, rows: Sequence[int], outputs: int,
    n_jobs: int,
) -> Stage:  # fmt: skip
    """Bound what one forest takes beside images and labels."""
    tree = tree_settings(part)
    pad = int(np.ceil((part.max_offset_mm + part.box_size_mm[1] / 2) / spacing_mm)) + 2
    tables = [4 * float(np.prod(np.asarray(shape) + 2.0 * pad + 1)) for shape in drawn.shapes_zyx]
    if part.features:
        block = max(table + 5 * part.features * count for table, count in zip(tables, rows, strict=True))
        return growing_memory(sum(rows), part.features, outputs, tree, part.trees, n_jobs, block)
    stage = growing_memory(sum(rows), 0, outputs, tree, part.trees, n_jobs)
    return stage._replace(held_mb=stage.held_mb + (2 * sum(tables) + 40 * sum(rows)) / 1e6)
