"""How much memory it takes to locate and segment discs, before an image has been read."""

from __future__ import annotations

import numpy as np

from regforest._memory import MemoryNeed, Stage
from regforest.discs.settings import DiscSettings
from regforest.spatial import Grid

__all__ = ["memory_of_apply"]

# of what was measured
_SCENE_BYTES = 20  # of a voxel of the coarse image and a channel: itself, levelled, means, deviations
_LEVELLING_BYTES = 24
_PATCH_BYTES = 20_000  # of a patch of the search: features, neighbours, links, votes
_LABEL_BYTES = 7  # of a voxel of the image: label, strongest claim, masks
_SEARCH_MB, _VIEW_MB = 50.0, 50.0


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
