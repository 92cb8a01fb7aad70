"""Every number of the method, with its unit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from regforest._limits import check_limits

__all__ = ["DiscSettings", "ForestSettings", "JointSettings", "PatchSettings"]

METHODS = ("data-driven", "forest", "knn")

_MAX_VIEW_VOXELS = 300  # along each edge of a structure's own view

_PATCH_LIMITS = {"sizes_mm": (0.5, 400), "divisions": (1, 16), "components": (1, 4096)}
_JOINT_LIMITS = {
    "neighbours": (1, 10_000), "data_weight": (1e-6, 1e6), "affinity_weight": (0, 1e6), "geometry_weight": (0, 1e6),
    "link_mm": (0.01, 1000), "mode_mm": (0.01, 1000),
}  # fmt: skip
_FOREST_LIMITS = {
    "trees": (1, 10_000), "min_leaf": (1, 10**6), "feature_share": (1e-6, 1), "rows": (1, 10**8),
    "trust_mm": (0.01, 1000),
}  # fmt: skip
_LIMITS = {
    "coarse_spacing_mm": (0.5, 20), "label_spacing_mm": (0.2, 20), "normalise_mm": (0.5, 500),
    "coarse_grid_mm": (1, 200), "coarse_patches": (1, 10**7), "coarse_rows": (1, 10**8), "coarse_reach_mm": (1, 1000),
    "coarse_vote_mm": (0.1, 100), "fine_vote_mm": (0.1, 100), "turns_deg": (-180, 180),
    "fine_turns_deg": (-180, 180), "scales": (0.2, 5),
    "modes": (1, 1000), "step_floor_mm": (0.1, 100), "fine_floor_mm": (0.1, 100), "absent_log_score": (-1e6, 1e6),
    "fine_radius_mm": (1, 200), "fine_patches": (1, 10**6), "level_distance": (0, 1000),
    "label_margin_mm": (0.5, 100), "label_patches": (1, 10**7), "label_position_weight": (0, 1000),
    "label_search_mm": (0.5, 200), "passes": (1, 100),
}  # fmt: skip


@dataclass(frozen=True)
class PatchSettings:
    """What a patch looks at.

    Attributes
    ----------
    sizes_mm : tuple of float
        Edge lengths of the cubes around a point, one per scale.
    divisions : int
        Each cube is divided into divisions^3 blocks.
    components : int
        Principal components that are kept of the block means and deviations.
    """

    sizes_mm: tuple[float, ...]
    divisions: int = 4
    components: int = 32

    def __post_init__(self) -> None:
        check_limits(self, _PATCH_LIMITS)

    def block_voxels(self, spacing_mm: float) -> list[int]:
        """Edge of the blocks of each scale in voxels of a spacing."""
        return [max(1, round(size / self.divisions / spacing_mm)) for size in self.sizes_mm]

    def columns(self, spacing_mm: float, channels: int) -> int:
        """Return the number of features of a patch: mean and deviation of each block, of one voxel only its mean."""
        tables = sum(1 if block == 1 else 2 for block in self.block_voxels(spacing_mm))
        return channels * tables * self.divisions**3


@dataclass(frozen=True)
class JointSettings:
    """Weights of the joint estimate (`solve_joint`).

    Attributes
    ----------
    neighbours : int
        Training patches that each test patch listens to (k).
    data_weight : float
        Trust in the training outputs (a).
    affinity_weight : float
        Agreement of test patches that look alike (the w term).
    geometry_weight : float
        Agreement of test patches that lie side by side (b); 0 together with `affinity_weight` is plain kNN.
    link_mm : float
        Test patches at most this far apart are linked by geometry.
    mode_mm : float
        Neighbours whose displacements differ by more than about this do not support one another.
    """

    neighbours: int = 24
    data_weight: float = 1.0
    affinity_weight: float = 0.02
    geometry_weight: float = 0.1
    link_mm: float = 12.0
    mode_mm: float = 8.0

    def __post_init__(self) -> None:
        check_limits(self, _JOINT_LIMITS)


@dataclass(frozen=True)
class ForestSettings:
    """The forests of the method ``"forest"``.

    Attributes
    ----------
    trees : int
        Trees of each forest.
    min_leaf : int
        Fewest patches of a leaf.
    feature_share : float
        Share of the patch features tried at each node.
    rows : int
        Training patches of each forest; more are thinned out.
    trust_mm : float
        A leaf's vote loses weight where its displacements spread by more than about this.
    """

    trees: int = 32
    min_leaf: int = 8
    feature_share: float = 0.1
    rows: int = 30_000
    trust_mm: float = 8.0

    def __post_init__(self) -> None:
        check_limits(self, _FOREST_LIMITS)


@dataclass(frozen=True)
class DiscSettings:
    """Settings of `DiscLocalizer`; lengths in millimetres.

    Attributes
    ----------
    method : {"data-driven", "forest", "knn"}
        ``"knn"`` drops both coupling terms of the joint estimate: every patch stands alone. ``"forest"`` asks forests
        instead of neighbours (Chu et al. 2015).
    coarse_spacing_mm, label_spacing_mm : float
        Working grids of the search (coarse and fine) and of the segmentation.
    normalise_mm : float
        Radius over which brightness and contrast are levelled (receive coils make the image uneven).
    coarse_patch, fine_patch, label_patch : PatchSettings
        Patches of the three steps.
    coarse_joint, fine_joint, label_joint : JointSettings
        Joint estimates of the three steps.
    forest : ForestSettings
        Forests of the three steps, for the method ``"forest"``.
    coarse_grid_mm : float
        Distance of the test patches in the whole volume.
    coarse_patches : int
        Training patches per view of a scan, divided by the number of channels.
    coarse_rows : int
        Training patches that are searched in all; more are thinned out.
    coarse_reach_mm : float
        A patch votes for a structure whose centre is at most this far away.
    coarse_vote_mm, fine_vote_mm : float
        Standard deviation of the kernel that collects votes.
    turns_deg, scales : tuple of float
        Training views are turned in the sagittal plane and scaled by these; every one is also mirrored.
    modes : int
        Candidates per structure that enter the chain.
    step_floor_mm : float
        Added (squared) to the variance of the step between neighbours: training patients are few.
    fine_floor_mm : float
        The same where chains are refined and shifted chains compared: steps only have to exclude absurd chains.
    absent_log_score : float
        Log-score of a structure at either end of the chain that is not in the image.
    fine_radius_mm, fine_patches : float, int
        Patches per structure of the fine step, drawn within this radius.
    fine_turns_deg : tuple of float
        Training views of the fine step are turned in the sagittal plane by these.
    level_distance : float
        How unlike two patches are for each level between their structures, in standard deviations of a feature.
    label_margin_mm : float
        Training voxels are drawn within this distance of the structure's border.
    label_patches : int
        Training voxels per structure and view, divided by the number of channels.
    label_position_weight : float
        Feature units per millimetre of distance in the structure's own frame.
    label_search_mm : float
        Training voxels further than this from the same place are not searched.
    passes : int
        Segmentation passes; after each the structure is re-localized at the centroid of its mask.

    Raises
    ------
    ValueError
        If there is no such method.
    """

    method: str = "data-driven"
    coarse_spacing_mm: float = 2.0
    label_spacing_mm: float = 1.0
    normalise_mm: float = 20.0
    coarse_patch: PatchSettings = PatchSettings((32.0, 64.0, 128.0), 4, 48)
    fine_patch: PatchSettings = PatchSettings((16.0, 40.0), 4, 40)
    label_patch: PatchSettings = PatchSettings((3.5, 10.5, 21.0), 5, 32)
    coarse_joint: JointSettings = JointSettings(30, 1.0, 0.02, 0.1, 12.0)
    fine_joint: JointSettings = JointSettings(20, 1.0, 0.02, 0.1, 6.0)
    label_joint: JointSettings = JointSettings(20, 1.0, 0.0, 0.1, 1.0)
    forest: ForestSettings = ForestSettings()
    coarse_grid_mm: float = 9.0
    coarse_patches: int = 1200
    coarse_rows: int = 50_000
    coarse_reach_mm: float = 34.0
    coarse_vote_mm: float = 5.0
    fine_vote_mm: float = 2.5
    turns_deg: tuple[float, ...] = (0.0, -10.0, 10.0)
    scales: tuple[float, ...] = (1.0, 0.9, 1.1)
    modes: int = 8
    step_floor_mm: float = 4.0
    fine_floor_mm: float = 8.0
    absent_log_score: float = -5.0
    fine_radius_mm: float = 24.0
    fine_patches: int = 500
    fine_turns_deg: tuple[float, ...] = (0.0, -12.0, 12.0)
    level_distance: float = 0.5
    label_margin_mm: float = 7.0
    label_patches: int = 5000
    label_position_weight: float = 0.3
    label_search_mm: float = 5.0
    passes: int = 2

    def __post_init__(self) -> None:
        check_limits(self, _LIMITS)
        if self.method not in METHODS:
            raise ValueError(f"method must be one of {', '.join(METHODS)}, got {self.method!r}")
        fine_mm = 2.4 * self.fine_radius_mm + max(self.fine_patch.sizes_mm)
        label_mm = 2 * self.label_margin_mm + max(self.label_patch.sizes_mm)
        for what, edge in (
            ("fine", fine_mm / self.coarse_spacing_mm),
            ("coarse", max(self.coarse_patch.sizes_mm) / self.coarse_spacing_mm),
            ("label", label_mm / self.label_spacing_mm),
        ):
            if edge > _MAX_VIEW_VOXELS:
                raise ValueError(f"{what} patches span {edge:.0f} voxels, at most {_MAX_VIEW_VOXELS} are allowed")

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {item.name: _plain(getattr(self, item.name)) for item in fields(self)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> DiscSettings:
        """Rebuild the settings that `to_json` wrote."""
        kinds: dict[str, Any] = {"patch": PatchSettings, "joint": JointSettings, "forest": ForestSettings}
        made: dict[str, Any] = {}
        for name, value in values.items():
            kind = kinds.get(name.rpartition("_")[2])
            if kind is not None and isinstance(value, Mapping):
                made[name] = kind(**{key: _frozen(item) for key, item in value.items()})
            elif kind is not None:
                raise TypeError(f"{name} must be an object, got {value!r}")
            else:
                made[name] = _frozen(value)
        return cls(**made)


def _plain(value: Any) -> Any:
    if isinstance(value, (PatchSettings, JointSettings, ForestSettings)):
        return {item.name: _plain(getattr(value, item.name)) for item in fields(value)}
    return list(value) if isinstance(value, tuple) else value


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
