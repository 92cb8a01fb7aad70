"""Everything that can be set in training and applying the 2012 method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from regforest._limits import check_limits
from regforest.vertebrae.baseline_sampling import BaselineSampling
from regforest.vertebrae.vote_chain import ChainSettings

__all__ = ["BaselineSettings"]

_LIMITS = {
    "spacing_mm": (0.5, 20), "features": (1, 100_000), "max_offset_mm": (1, 500), "box_size_mm": (0.5, 200),
    "trees": (1, 10_000), "max_depth": (1, 1000), "min_samples_leaf": (1, 10**6), "features_per_node": (1, 100_000),
    "sharpness": (0, 10), "stride": (1, 100), "votes": (1, 10**6), "near_features": (1, 100_000),
    "near_offset_mm": (1, 500), "near_box_size_mm": (0.5, 200), "components": (1, 10_000), "passes": (1, 100),
    "min_probability": (0, 1),
}  # fmt: skip
_RANGES = ("box_size_mm", "near_box_size_mm")


@dataclass(frozen=True)
class BaselineSettings:
    """Everything that can be set in training and applying a `Baseline2012`.

    Attributes
    ----------
    spacing_mm : float
        Spacing of the isotropic working grid.
    features : int
        Size of the pool of box features of the forest.
    max_offset_mm : float
        How far from a voxel its boxes may lie.
    box_size_mm : tuple of float
        Smallest and largest edge of a box.
    trees, max_depth, min_samples_leaf : int
        The forest.
    features_per_node : int
        Candidate features at each node.
    sharpness : float
        The weight of a leaf's vote falls with this power of its spread.
    stride, votes : int
        Every `stride`-th voxel along each axis votes, and this many of the votes for each vertebra are kept.
    near_features, near_offset_mm, near_box_size_mm : int, float, tuple of float
        The same of the box features that describe appearance.
    components : int
        How many principal components of these are kept.
    passes : int
        How often candidates are sought and the chain is read; from the second on along the spine found before.
    min_probability : float
        Least probability of the chain as named, against shifts of it, for the answer to be called certain.
    sampling, chain : BaselineSampling, ChainSettings
        How training voxels are drawn, and how the evidence is weighed.
    """

    spacing_mm: float = 3.0
    features: int = 400
    max_offset_mm: float = 60.0
    box_size_mm: tuple[float, float] = (3.0, 36.0)
    trees: int = 20
    max_depth: int = 18
    min_samples_leaf: int = 30
    features_per_node: int = 60
    sharpness: float = 3.0
    stride: int = 3
    votes: int = 4000
    near_features: int = 300
    near_offset_mm: float = 24.0
    near_box_size_mm: tuple[float, float] = (3.0, 20.0)
    components: int = 80
    passes: int = 2
    min_probability: float = 0.6
    sampling: BaselineSampling = field(default_factory=BaselineSampling)
    chain: ChainSettings = field(default_factory=ChainSettings)

    def __post_init__(self) -> None:
        check_limits(self, _LIMITS)
        for name in _RANGES:
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name} must be smallest and largest, got {(low, high)!r}")

    @classmethod
    def quick(cls) -> BaselineSettings:
        """Return the smallest useful settings, for a smoke run."""
        sampling = BaselineSampling(anywhere=600, near_spine=600)
        return cls(
            spacing_mm=4.0, features=200, trees=8, max_depth=14, votes=1000, near_features=120, sampling=sampling
        )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> BaselineSettings:
        """Rebuild from what `dataclasses.asdict` made; what is missing or unknown raises `KeyError` or `TypeError`.

        Examples
        --------
        >>> from dataclasses import asdict
        >>> BaselineSettings.from_dict(asdict(BaselineSettings.quick())) == BaselineSettings.quick()
        True
        """
        given = dict(values)
        sampling, chain = BaselineSampling(**given.pop("sampling")), ChainSettings(**given.pop("chain"))
        given |= {name: tuple(given[name]) for name in _RANGES}
        return cls(**given, sampling=sampling, chain=chain)
