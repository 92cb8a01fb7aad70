"""From annotated scans to a forest that tells the vertebrae apart."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regforest.errors import DataError
from regforest.features import BoxFeatures, BoxSpace
from regforest.forest import Forest, ForestClassifier, TrainingImage, TreeSettings, grow_on_images
from regforest.spatial import AnnotatedScan, Landmarks
from regforest.vertebrae.sampling import draw_training_points, working_image
from regforest.vertebrae.settings import VertebraSettings

__all__ = ["TrainingVoxels"]


@dataclass(frozen=True, eq=False)
class TrainingVoxels:
    """Voxels of all training scans, with what a forest learns them from.

    Attributes
    ----------
    labels : ndarray of float32, shape (N, len(CLASSES))
        Soft labels.
    rows : list of ndarray of float32, shape (n, F)
        Features of each scan's voxels, for a fixed pool.
    images : list of TrainingImage
        Or the images themselves, if features are drawn at each node.
    spines : list of Landmarks
        The annotations of each scan.
    boxes : BoxFeatures or None
        The fixed pool.
    """

    labels: NDArray[np.float32]
    rows: list[NDArray[np.float32]]
    images: list[TrainingImage]
    spines: list[Landmarks]
    boxes: BoxFeatures | None

    @classmethod
    def draw(
        cls, scans: Iterable[AnnotatedScan], settings: VertebraSettings, seed: int, say: Callable[[str], None]
    ) -> TrainingVoxels:
        """Draw balanced voxels of each scan; `DataError` without a scan, or if one has no vertebra in its image."""
        boxes = None
        if settings.features:
            boxes = BoxFeatures.random(
                settings.features,
                seed=seed,
                max_offset_mm=settings.max_offset_mm,
                size_range_mm=settings.box_size_mm,
            )
        labels: list[NDArray[np.float32]] = []
        rows: list[NDArray[np.float32]] = []
        images: list[TrainingImage] = []
        spines: list[Landmarks] = []
        for number, scan in enumerate(scans):
            say(f"features of {scan.name}")
            image = working_image(scan.image, settings.spacing_mm)
            rng = np.random.default_rng([seed, number])
            points = draw_training_points(scan, image.grid, settings.sampling, rng)
            if boxes is None:
                images.append(TrainingImage([image.voxels], points.index_zyx))
            else:
                rows.append(boxes.evaluate([image.voxels], image.grid.spacing_mm, points.index_zyx))
            labels.append(points.labels)
            spines.append(scan.landmarks)
        if not labels:
            raise DataError("training needs at least one annotated scan, there is none")
        return cls(np.concatenate(labels), rows, images, spines, boxes)

    def grow(self, settings: VertebraSettings, seed: int, n_jobs: int) -> tuple[Forest, BoxFeatures]:
        """Grow the forest; returned with the features that it asks for."""
        if self.boxes is not None:
            classifier = ForestClassifier(
                n_estimators=settings.trees,
                max_depth=settings.max_depth,
                min_samples_leaf=settings.min_samples_leaf,
                max_features=min(settings.features_per_node, settings.features),
                random_state=seed,
                n_jobs=n_jobs,
            )
            return classifier.fit(np.concatenate(self.rows), self.labels).forest_, self.boxes
        grown = grow_on_images(
            self.images,
            settings.spacing_mm,
            BoxSpace(settings.max_offset_mm, settings.box_size_mm),
            self.labels,
            TreeSettings(settings.features_per_node, settings.max_depth, min_samples_leaf=settings.min_samples_leaf),
            seed=seed,
            n_trees=settings.trees,
            n_jobs=n_jobs,
        )
        return grown.forest, grown.boxes
