"""What one annotated scan contributes to training, extracted once and reused in every fold."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from regforest.discs.own_views import (
    chain_scale,
    extended_chain,
    fine_view,
    label_view,
    random_ball,
    read_probes,
)
from regforest.discs.patches import PatchReader
from regforest.discs.settings import DiscSettings
from regforest.discs.views import Scene, View, box_grid, chain_frames, interpolated, turned, turned_axes
from regforest.errors import DataError
from regforest.spatial import AnnotatedScan, Volume

__all__ = ["TrainingRecord", "level_of_fine", "named_offsets", "prepare_record"]

FloatArray = NDArray[np.float64]
Features = NDArray[np.float32]
Stored = NDArray[np.float16]


@dataclass(frozen=True, eq=False)
class TrainingRecord:
    """One scan as seen by the three steps; plain arrays, so it can be pickled. Features are kept in half precision.

    Attributes
    ----------
    name, patient : str
        The scan.
    channels : tuple of str
        Its channels, in order.
    structures : tuple of str
        Annotated structures, cranial to caudal.
    label_values : dict of str to int
        Value of each structure in the masks.
    chain_mm : dict of str to ndarray, shape (3,)
        Centres along the image's canonical axes, millimetres.
    field_centre_mm : ndarray, shape (3,)
        Centre of the field of view along the same axes.
    field_extent_mm : float
        Its height.
    scale : float
        Mean step of the chain / `NOMINAL_STEP_MM`.
    coarse_features, coarse_offsets : ndarray, shape (N, F) and (N, S, 3)
        Patches of the coarse views and their displacements to each structure.
    probes : ndarray, shape (V, S + 4, P, F)
        Fine features of V views around each structure and around the next two places beyond either end of the chain.
    fine_features, fine_offsets, fine_structure : ndarray
        Patches of each structure's own view, displacement to its centre, index into `structures`.
    label_features, label_positions, label_inside, label_structure : ndarray
        Voxels near each structure's border: features, place in its own view (mm from the centre), whether they lie
        inside its mask, index into `structures`; empty without masks.
    masks : ndarray of float32, shape (S, z, y, x)
        Share of each voxel that is mask, in the structure's own view of 1 mm x scale.
    label_weight : ndarray of float32, shape (N,)
        Voxels that each label sample stands for.
    """

    name: str
    patient: str
    channels: tuple[str, ...]
    structures: tuple[str, ...]
    label_values: dict[str, int]
    chain_mm: dict[str, FloatArray]
    field_centre_mm: FloatArray
    field_extent_mm: float
    scale: float
    coarse_features: Stored
    coarse_offsets: Features
    probes: Features
    fine_features: Stored
    fine_offsets: Features
    fine_structure: NDArray[np.int64]
    label_features: Stored
    label_positions: Features
    label_inside: NDArray[np.bool_]
    label_structure: NDArray[np.int64]
    label_weight: Features
    masks: Features

    @property
    def size_mb(self) -> float:
        """Megabytes of its arrays."""
        return sum(value.nbytes for value in vars(self).values() if isinstance(value, np.ndarray)) / 1e6


def prepare_record(scan: AnnotatedScan, settings: DiscSettings, seed: int) -> TrainingRecord:
    """Extract everything that training needs from one scan.

    Raises
    ------
    DataError
        If no structure is annotated or the image cannot be used.
    """
    if len(scan.landmarks) == 0:
        raise DataError(f"{scan.name}: no structure is annotated, nothing to learn from")
    rng = np.random.default_rng([seed, 1])
    scene = Scene(scan.channels, settings.coarse_spacing_mm, settings.normalise_mm)
    centres = {name: scan.landmarks[name] for name in scan.landmarks}
    scale = chain_scale(centres)
    coarse_features, coarse_offsets = _coarse_part(scene, centres, settings, rng)
    frames = chain_frames(centres, scene.axes)
    masks = _own_masks(scan, centres, frames, scale, settings)
    fine, label = _Collector(), _Collector()
    for s, (name, centre) in enumerate(centres.items()):
        for mirrored, degrees in itertools.product((False, True), settings.fine_turns_deg):
            axes = turned_axes(frames[name], degrees, mirrored=mirrored)
            view = fine_view(scene, centre, axes, scale, settings)
            offsets = random_ball(rng, settings.fine_patches, settings.fine_radius_mm * 1.2)
            fine.add(PatchReader(view, settings.fine_patch)(view.extent_mm / 2 + offsets), -offsets, s)
            if masks.size and degrees == 0.0:
                mask = masks[s, :, :, ::-1] if mirrored else masks[s]
                view = label_view(scene, centre, axes, scale, mask.shape, settings)
                positions, inside, voxels = _border_samples(
                    rng, mask >= 0.5, settings.label_patches // len(scan.channels), settings
                )
                features = PatchReader(view, settings.label_patch)(view.extent_mm / 2 + positions)
                label.add(features, positions, s, inside, voxels)
    values = {known: value for value, known in scan.label_names.items()}
    axes = scene.axes
    fine_features, fine_offsets, fine_structure = fine.fine_arrays()
    label_features, label_positions, label_inside, label_structure, label_weight = label.label_arrays()
    return TrainingRecord(
        name=scan.name,
        patient=scan.patient,
        channels=tuple(scan.channels),
        structures=tuple(centres),
        label_values={name: values[name] for name in centres if name in values},
        chain_mm={name: point @ axes for name, point in centres.items()},
        field_centre_mm=scene.field_centre_mm,
        field_extent_mm=scene.field_extent_mm,
        scale=scale,
        coarse_features=coarse_features,
        coarse_offsets=coarse_offsets,
        probes=_probes(scene, centres, scale, settings),
        fine_features=fine_features,
        fine_offsets=fine_offsets,
        fine_structure=fine_structure,
        label_features=label_features,
        label_positions=label_positions,
        label_inside=label_inside,
        label_structure=label_structure,
        label_weight=label_weight,
        masks=masks,
    )


def _probes(scene: Scene, centres: Mapping[str, FloatArray], scale: float, settings: DiscSettings) -> Features:
    """Probes of the chain and of the two places beyond either end, as they are and mirrored."""
    places = extended_chain(np.array(list(centres.values())), 2)
    frames = chain_frames({str(i): place for i, place in enumerate(places)}, scene.axes)
    return np.stack(
        [
            [
                read_probes(fine_view(scene, place, frames[str(i)] * [sign, 1.0, 1.0], scale, settings), settings)
                for i, place in enumerate(places)
            ]
            for sign in (1.0, -1.0)
        ]
    )


class _Collector:
    """Gathers rows of several structures and views."""

    def __init__(self) -> None:
        self._features: list[Stored] = []
        self._vectors: list[Features] = []
        self._structure: list[NDArray[np.int64]] = []
        self._inside: list[NDArray[np.bool_]] = []
        self._weight: list[Features] = []

    def add(
        self,
        features: Features,
        vectors: FloatArray,
        structure: int,
        inside: NDArray[np.bool_] | None = None,
        voxels: float = 0.0,
    ) -> None:
        count = len(features)
        self._features.append(features.astype(np.float16))
        self._vectors.append(vectors.astype(np.float32))
        self._structure.append(np.full(count, structure, np.int64))
        self._inside.append(np.zeros(count, bool) if inside is None else inside)
        self._weight.append(np.full(count, voxels / max(count, 1), np.float32))

    def fine_arrays(self) -> tuple[Stored, Features, NDArray[np.int64]]:
        return np.concatenate(self._features), np.concatenate(self._vectors), np.concatenate(self._structure)

    def label_arrays(self) -> tuple[Stored, Features, NDArray[np.bool_], NDArray[np.int64], Features]:
        if not self._features:
            none = np.zeros(0, np.float32)
            return np.zeros((0, 0), np.float16), np.zeros((0, 3), np.float32), none > 0, none.astype(np.int64), none
        features, vectors, structure = self.fine_arrays()
        return features, vectors, np.concatenate(self._inside), structure, np.concatenate(self._weight)


def _coarse_part(
    scene: Scene, centres: Mapping[str, FloatArray], settings: DiscSettings, rng: np.random.Generator
) -> tuple[Stored, Features]:
    features, offsets = [], []
    points_lps = np.array(list(centres.values()))
    for scale in settings.scales:
        for degrees in settings.turns_deg if scale == 1.0 else (0.0,):
            for mirrored in (False, True):
                view = scene.coarse_view(turned(scene.coarse.grid, degrees, scale, mirrored=mirrored))
                targets = view.to_view(points_lps)
                points = _coarse_points(rng, view, targets, settings)
                read = PatchReader(view, settings.coarse_patch)
                features.append(read(points).astype(np.float16))
                offsets.append((targets[None] - points[:, None]).astype(np.float32))
    return np.concatenate(features), np.concatenate(offsets)


def _coarse_points(rng: np.random.Generator, view: View, targets: FloatArray, settings: DiscSettings) -> FloatArray:
    """Half of the patches around the structures, half anywhere."""
    count = settings.coarse_patches // len(view.voxels)  # memory: features grow with the channels
    around = targets[rng.integers(len(targets), size=count // 2)]
    near = around + random_ball(rng, count // 2, settings.coarse_reach_mm)
    anywhere = rng.uniform(0, 1, (count - count // 2, 3)) * view.extent_mm
    return np.asarray(np.clip(np.concatenate([near, anywhere]), 0, view.extent_mm))


def _own_masks(
    scan: AnnotatedScan,
    centres: Mapping[str, FloatArray],
    frames: Mapping[str, FloatArray],
    scale: float,
    settings: DiscSettings,
) -> Features:
    """Masks in the structures' own views, all of one size that holds the largest; empty without masks."""
    if scan.labels is None:
        return np.zeros((0, 0, 0, 0), np.float32)
    spacing = settings.label_spacing_mm * scale
    masks = {name: scan.mask(name) for name in centres}
    half = np.ones(3, int)
    for name, mask in masks.items():
        places = scan.labels.grid.index_to_lps(np.argwhere(mask)[:, ::-1]) - centres[name]
        if len(places):
            half = np.maximum(half, np.ceil(np.abs(places @ frames[name]).max(axis=0) / spacing).astype(int) + 2)
    return np.stack(
        [
            interpolated(
                Volume(mask.astype(np.float32), scan.labels.grid),
                box_grid(centres[name], frames[name], half, spacing),
            )
            for name, mask in masks.items()
        ]
    )


def _border_samples(
    rng: np.random.Generator, mask: NDArray[np.bool_], count: int, settings: DiscSettings
) -> tuple[FloatArray, NDArray[np.bool_], float]:
    """Draw voxels near the border of a mask.

    Returns their places from the middle of the view, whether they are inside, and how many voxels lie near it.
    """
    margin = int(np.ceil(settings.label_margin_mm / settings.label_spacing_mm))
    padded = np.pad(mask, margin)
    distance = ndimage.distance_transform_edt(~padded) + ndimage.distance_transform_edt(padded)
    near = np.argwhere(distance * settings.label_spacing_mm <= settings.label_margin_mm)
    if len(near) == 0:
        return np.zeros((0, 3)), np.zeros(0, bool), 0.0
    chosen = near[rng.choice(len(near), size=min(count, len(near)), replace=False)]
    positions = (chosen - (np.asarray(padded.shape) - 1) / 2)[:, ::-1] * settings.label_spacing_mm
    return positions, padded[tuple(chosen.T)], float(len(near))


def named_offsets(record: TrainingRecord, names: Sequence[str]) -> Features:
    """Displacements of the coarse patches to all of `names`, (N, S, 3); NaN where the scan does not show one."""
    offsets = np.full((len(record.coarse_offsets), len(names), 3), np.nan, np.float32)
    offsets[:, [list(names).index(name) for name in record.structures]] = record.coarse_offsets
    return offsets


def level_of_fine(record: TrainingRecord, names: Sequence[str]) -> NDArray[np.int64]:
    """Place in `names` of the structure that each fine patch belongs to."""
    return np.array([list(names).index(name) for name in record.structures])[record.fine_structure]
