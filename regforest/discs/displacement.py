"""The joint data-driven estimate (Chen et al., MLMI 2014, as reconstructed in docs) and its use for displacements.

The outputs y_i of all test patches are found together as the minimum of

    E(Y) = sum_i a_i |y_i - y0_i|^2 + sum_(i,j) w_ij |y_i - y_j|^2 + sum_(i,j) v_ij |y_i - y_j - g_ij|^2

y0_i: weighted mean output of the training patches that look like patch i; w: test patches that look alike;
v, g: test patches that lie side by side, whose outputs must differ by g (for displacements g_ij = c_j - c_i: both
point to one centre; for probabilities g = 0). E is quadratic: one sparse symmetric positive definite system.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import cg
from scipy.spatial import cKDTree

from regforest.discs._kernels import dominant_mode
from regforest.discs.nearest import NearestRows
from regforest.discs.settings import JointSettings

__all__ = ["Links", "estimate_displacements", "neighbour_weights", "solve_joint"]

FloatArray = NDArray[np.float64]

_MIN_PRESENCE = 0.02


@dataclass(frozen=True, eq=False)
class Links:
    """Pairs of nodes (i, j) whose outputs should differ by a given offset.

    Attributes
    ----------
    first, second : ndarray of int, shape (M,)
        Nodes i and j.
    weight : ndarray, shape (M,)
        Not negative.
    offset : ndarray, shape (M, D), or None
        Wanted y_i - y_j; None is zero.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    weight: FloatArray
    offset: FloatArray | None = None


def solve_joint(
    data: FloatArray, confidence: FloatArray, links: Sequence[Links], tolerance: float = 1e-6
) -> FloatArray:
    """Minimise E by conjugate gradients with the diagonal as preconditioner.

    Parameters
    ----------
    data : ndarray, shape (N, D)
        y0.
    confidence : ndarray, shape (N,)
        a, not negative; a node without confidence is filled in by its links. A part of the graph with no
        confidence at all keeps its y0.
    links : sequence of Links
        The w and v terms.
    tolerance : float
        Relative residual at which the iteration stops.

    Returns
    -------
    ndarray, shape (N, D)

    Examples
    --------
    >>> chain = Links(np.array([0, 1]), np.array([1, 2]), np.ones(2))
    >>> solve_joint(np.array([[0.0], [9.0], [4.0]]), np.array([1e6, 0.0, 1e6]), [chain]).round(2).ravel()
    array([0., 2., 4.])
    """
    # a trace of trust in y0 keeps the system definite where nothing else does
    diagonal = np.asarray(confidence, dtype=np.float64) + 1e-9 * max(float(np.max(confidence, initial=0.0)), 1.0)
    right = diagonal[:, None] * data
    rows, columns, values = [], [], []
    for link in links:
        np.add.at(diagonal, link.first, link.weight)
        np.add.at(diagonal, link.second, link.weight)
        rows += [link.first, link.second]
        columns += [link.second, link.first]
        values += [-link.weight, -link.weight]
        if link.offset is not None:
            pull = link.weight[:, None] * link.offset
            np.add.at(right, link.first, pull)
            np.add.at(right, link.second, -pull)
    count = len(data)
    matrix = sparse.diags(diagonal).tocsr()
    if rows:
        entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
        matrix = matrix + sparse.csr_matrix(entries, shape=(count, count))
    # scaling both sides is the diagonal preconditioner, and makes the residual fair to nodes of little confidence
    root = np.sqrt(diagonal)
    scaled = sparse.diags(1 / root) @ matrix @ sparse.diags(1 / root)
    solved = [
        cg(scaled, column / root, x0=start * root, rtol=tolerance, maxiter=500)[0] / root
        for column, start in zip(right.T, np.asarray(data, dtype=np.float64).T, strict=True)
    ]
    return np.stack(solved, axis=1)


def neighbour_weights(squared: NDArray[np.float32]) -> FloatArray:
    """Gaussian weights of neighbours (N, k), as wide as the half-way neighbour is far; rows sum to 1.

    Distances ascend; an infinite one is no neighbour, and a row without any has no weight.
    """
    found = np.isfinite(squared)
    half_way = np.take_along_axis(squared, found.sum(axis=1, keepdims=True) // 2, axis=1)
    width = np.where(found.any(axis=1, keepdims=True), half_way, 0).astype(np.float64) + 1e-6
    weights = np.exp(-(np.where(found, squared, 0) - np.where(found[:, :1], squared[:, :1], 0)) / width) * found
    return np.asarray(weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-300))


def estimate_displacements(
    points_mm: FloatArray,
    features: NDArray[np.float32],
    offsets_mm: NDArray[np.float32],
    weights: FloatArray,
    settings: JointSettings,
) -> tuple[FloatArray, FloatArray]:
    """Estimate where one structure's centre lies, seen from each test patch.

    Parameters
    ----------
    points_mm : ndarray, shape (N, 3)
        Centres of the test patches.
    features : ndarray of float32, shape (N, F)
        Their features, for the affinity between test patches.
    offsets_mm : ndarray, shape (N, k, 3)
        Displacements to the centre that the neighbours in the training data had.
    weights : ndarray, shape (N, k)
        Weight of each neighbour, 0 where it is out of reach of the structure.
    settings : JointSettings
        Weights of the three terms.

    Returns
    -------
    displacement : ndarray, shape (N, 3)
        From the patch to the centre; NaN where no neighbour is in reach.
    presence : ndarray, shape (N,)
        Share of the neighbours' weight that agrees on it: how likely the structure is there.
    """
    presence = weights.sum(axis=1)
    displacement = np.full((len(points_mm), 3), np.nan)
    (near,) = np.nonzero(presence > _MIN_PRESENCE)
    if len(near) == 0:
        return displacement, presence
    mean, agreed = _dominant_mode(offsets_mm[near], weights[near], settings.mode_mm)
    presence[near] = agreed
    links = [_geometry_links(points_mm[near], agreed, settings)]
    links.append(_affinity_links(features[near], agreed, settings))
    links = [link for link in links if len(link.first)]
    displacement[near] = solve_joint(mean, settings.data_weight * agreed, links) if links else mean
    return displacement, presence


def _dominant_mode(
    offsets: NDArray[np.float32], weights: FloatArray, kernel_mm: float
) -> tuple[FloatArray, FloatArray]:
    """Mean of the neighbours that agree most, per row, and their weight.

    Neighbouring vertebrae look alike, so neighbours point to centres one level apart; their mean would lie between.
    """
    mean, total = np.empty((len(offsets), 3)), np.empty(len(offsets))
    dominant_mode(offsets, weights, kernel_mm, mean, total)
    return mean, total


def _geometry_links(points: FloatArray, presence: FloatArray, settings: JointSettings) -> Links:
    """Link patches side by side: both point to one centre."""
    if settings.geometry_weight == 0.0 or len(points) < 2:
        return _no_links()
    pairs = cKDTree(points).query_pairs(settings.link_mm, output_type="ndarray")
    i, j = pairs[:, 0], pairs[:, 1]
    gap = points[j] - points[i]
    weight = np.exp(-0.5 * (gap**2).sum(axis=1) / (settings.link_mm / 2) ** 2) * np.sqrt(presence[i] * presence[j])
    return Links(i, j, settings.geometry_weight * weight, gap)


def _affinity_links(features: NDArray[np.float32], presence: FloatArray, settings: JointSettings) -> Links:
    """Link each patch with the few test patches that look most like it."""
    if settings.affinity_weight == 0.0 or len(features) < 5:
        return _no_links()
    squared, index = NearestRows.of(features)(features, 5)
    i, j = np.repeat(np.arange(len(features)), 4), index[:, 1:].ravel()
    width = float(np.median(squared[:, 1:])) + 1e-6
    weight = np.exp(-0.5 * squared[:, 1:].ravel() / width) * np.sqrt(presence[i] * presence[j])
    keep = i != j
    return Links(i[keep], j[keep], settings.affinity_weight * weight[keep])


def _no_links() -> Links:
    return Links(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
