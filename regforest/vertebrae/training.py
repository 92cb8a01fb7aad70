"""From annotated scans to the forests that find the vertebrae and tell them apart."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from regforest._threads import Progress
from regforest.errors import DataError
from regforest.features import BoxFeatures, BoxSpace
from regforest.forest import TrainingImage, grow_on_images, grow_on_pool
from regforest.spatial import AnnotatedScan, Landmarks, Volume
from regforest.vertebrae.bodies import BodySettings, body_labels
from regforest.vertebrae.box_forest import BoxForest
from regforest.vertebrae.memory import LEARN_LESS, DrawnSizes, expected_sizes, memory_of_drawing
from regforest.vertebrae.sampling import draw_background, draw_training_points, working_image
from regforest.vertebrae.settings import VertebraSettings, tree_settings

__all__ = ["TrainingSet", "VoxelSet"]

_BODIES = 1  # beside a scan's seed: what only the forest of the bodies draws


@dataclass
class VoxelSet:
    """Voxels of all training scans, with what one forest learns them from.

    Attributes
    ----------
    settings : VertebraSettings or BodySettings
        Of the forest: `features` 0 draws them anew at every node.
    seed : int
        One seed, one pool and one forest.
    labels : list of ndarray of float32, shape (n, classes)
        Soft labels of each scan's voxels.
    images : list of TrainingImage
        The working images, from which features are computed when they are needed: an image is smaller than the
        features of its voxels.
    """

    settings: VertebraSettings | BodySettings
    seed: int
    labels: list[NDArray[np.float32]] = field(default_factory=list)
    images: list[TrainingImage] = field(default_factory=list)

    def __post_init__(self) -> None:
        s = self.settings
        self.space = BoxSpace(s.max_offset_mm, s.box_size_mm)
        self.boxes = BoxFeatures.from_space(s.features, self.space, self.seed) if s.features else None

    def add(self, image: Volume, index_zyx: NDArray[np.int64], labels: NDArray[np.float32]) -> None:
        """Add voxels (N, 3) of a working image with their labels."""
        self.labels.append(labels)
        self.images.append(TrainingImage([image.voxels], index_zyx))

    def grow(self, spacing_mm: float, n_jobs: int, progress: Progress | None = None) -> BoxForest:
        """Grow the forest; its leaf values are rounded, so that the model file stays small."""
        s, labels = self.settings, np.concatenate(self.labels)
        self.labels.clear()
        if self.boxes is None:
            grown = grow_on_images(
                self.images, spacing_mm, self.space, labels, tree_settings(s),
                seed=self.seed, n_trees=s.trees, n_jobs=n_jobs, progress=progress,
            )  # fmt: skip
            return BoxForest(grown.forest.rounded(), grown.boxes)
        forest = grow_on_pool(
            self.images, spacing_mm, self.boxes, labels, tree_settings(s),
            seed=self.seed, n_trees=s.trees, n_jobs=n_jobs, progress=progress,
        )  # fmt: skip
        return BoxForest(forest.rounded(), self.boxes)


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """What is learned from: voxels for both forests, and the annotations for the chain.

    Attributes
    ----------
    levels, bodies : VoxelSet
        For the forest that tells the vertebrae apart, and for the one that finds them (empty if it has no trees).
    spines : list of Landmarks
        The annotations of each scan.
    """

    levels: VoxelSet
    bodies: VoxelSet
    spines: list[Landmarks]

    @classmethod
    def draw(
        cls, scans: Iterable[AnnotatedScan], settings: VertebraSettings, seed: int, max_memory_mb: float | None = None
    ) -> TrainingSet:
        """Draw balanced voxels of each scan.

        Raises
        ------
        DataError
            Without a scan, if one has no vertebra in its image, or if its work does not fit into the memory.
        """
        drawn = cls(VoxelSet(settings, seed), VoxelSet(settings.bodies, seed), [])
        kept_mb = 0.0
        for number, scan in enumerate(scans):
            one = expected_sizes(settings, [scan.size])
            memory_of_drawing([scan.size], one, kept_mb).check(max_memory_mb, scan.name, LEARN_LESS)
            drawn._add(scan, settings, [seed, number])
            kept_mb += drawn.levels.images[-1].volumes[0].nbytes / 1e6
        if not drawn.spines:
            raise DataError("training needs at least one annotated scan, there is none")
        return drawn

    def sizes(self) -> DrawnSizes:
        """How much was drawn."""
        shapes = [image.volumes[0].shape for image in self.levels.images]
        levels, bodies = ([len(labels) for labels in part.labels] for part in (self.levels, self.bodies))
        return DrawnSizes(shapes, levels, bodies)

    def _add(self, scan: AnnotatedScan, settings: VertebraSettings, seed: list[int]) -> None:
        image = working_image(scan.image, settings.spacing_mm)
        points = draw_training_points(scan, image.grid, settings.sampling, np.random.default_rng(seed))
        self.levels.add(image, points.index_zyx, points.labels)
        self.spines.append(scan.landmarks)
        if settings.bodies.trees:
            rng = np.random.default_rng([*seed, _BODIES])
            more = draw_background(scan, image.grid, settings.sampling, settings.bodies.background_per_vertebra, rng)
            index = np.concatenate([points.index_zyx, more.index_zyx])
            self.bodies.add(image, index, body_labels(np.concatenate([points.labels, more.labels])))
