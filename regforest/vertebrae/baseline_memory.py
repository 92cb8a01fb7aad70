"""How much memory it takes to learn the 2012 method, before a scan has been read or a tree grown."""

from __future__ import annotations

from collections.abc import Sequence

from regforest._memory import MemoryNeed, Stage
from regforest.forest import TreeSettings, growing_memory
from regforest.spatial import PAPER_LEVELS, ScanSize
from regforest.vertebrae.baseline_settings import BaselineSettings
from regforest.vertebrae.memory import DrawnSizes

__all__ = ["GROWING_VOTES", "expected_voters", "memory_of_voting"]

GROWING_VOTES = "growing the forest of the votes"
"""Stage."""

_VOTE_BYTES = 12 * len(PAPER_LEVELS)  # displacements of a voter, in single precision
_COMPONENTS = 8
_MEMBER_BYTES = 64  # of a voter and a tree: the leaf that it reaches, as a sparse matrix
_LOOK_BYTES = 40  # of a place and a feature: as it is kept, put together, and in double precision


def expected_voters(settings: BaselineSettings, sizes: Sequence[ScanSize]) -> DrawnSizes:
    """Return the most voters, and places that are looked at, of scans."""
    s = settings.sampling
    shapes = [size.grid.canonical().isotropic(settings.spacing_mm).shape_zyx for size in sizes]
    places = [size.levels * s.per_body + s.beside_bodies for size in sizes]
    return DrawnSizes(shapes, [s.anywhere + s.near_spine] * len(sizes), places)


def memory_of_voting(settings: BaselineSettings, drawn: DrawnSizes, n_jobs: int) -> MemoryNeed:
    """Bound what it takes to learn from voters (`drawn.levels`) and places that are looked at (`drawn.bodies`)."""
    voters, places = sum(drawn.levels), sum(drawn.bodies)
    images, looks = 1e6 * drawn.images_mb, 4.0 * settings.near_features * places
    votes, features = voters * (_VOTE_BYTES + len(PAPER_LEVELS)), 4.0 * settings.features * voters
    tree = TreeSettings(settings.features_per_node, settings.max_depth, min_samples_leaf=settings.min_samples_leaf)
    growing = growing_memory(voters, settings.features, _COMPONENTS, tree, settings.trees, n_jobs)
    kept_mb = (images + looks + votes + features) / 1e6
    targets_mb = 20 * _COMPONENTS * voters / 1e6
    moments = voters * (5.2 * _VOTE_BYTES + _MEMBER_BYTES * settings.trees)
    return MemoryNeed({
        "putting votes together": Stage((images + 2 * (looks + votes)) / 1e6),
        "analysing votes": Stage(kept_mb, 2.2 * _VOTE_BYTES * voters / 1e6),
        GROWING_VOTES: growing._replace(held_mb=kept_mb + targets_mb + growing.held_mb),
        "casting votes": Stage(kept_mb, moments / 1e6),
        "learning the appearance": Stage(kept_mb, _LOOK_BYTES * settings.near_features * places / 1e6),
    })  # fmt: skip
