"""The method on one scan (Chen et al., MLMI 2014; Chu et al., 2015).

1. coarse: joint displacement estimate over the whole volume, votes, best chain through the modes;
2. the chain as found and shifted by one level is refined and judged by its evidence;
3. fine: joint displacement estimate in each structure's own view;
4. segmentation: joint probability estimate in the own view; the mask's centroid re-localizes the structure.

The method ``"forest"`` asks regression and classification forests where the others estimate from neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regforest.discs.chain import best_chain, with_neighbours
from regforest.discs.hypotheses import Chain, ChainJudge, in_threads
from regforest.discs.learned import LearnedDiscs
from regforest.discs.masks import label_image, mask_centre
from regforest.discs.own_views import label_view
from regforest.discs.segmentation import LabelModel
from regforest.discs.settings import DiscSettings
from regforest.discs.verdict import found_nothing, verdict
from regforest.discs.views import Scene
from regforest.discs.voting import VoteMap
from regforest.errors import DataError
from regforest.spatial import Landmarks, Localization, Volume

__all__ = ["DiscPipeline"]

FloatArray = NDArray[np.float64]

_CERTAIN = 1e4  # log-score of an anchor: more than all evidence together


@dataclass(frozen=True, eq=False)
class DiscPipeline:
    """The steps from the images of one scan to its landmarks and masks.

    Attributes
    ----------
    learned : LearnedDiscs
        What is known of scans that have these channels.
    settings : DiscSettings
        All numbers of the method.
    seed : int
        Seed of every random draw.
    n_jobs : int
        Threads; the result is the same for any number.
    """

    learned: LearnedDiscs
    settings: DiscSettings
    seed: int
    n_jobs: int = 1

    def apply(self, channels: Mapping[str, Volume], anchor: Mapping[str, ArrayLike]) -> tuple[Localization, Volume]:
        """Localize and segment a scan that has all the channels learned."""
        scene = self.scene(channels)
        background = Volume(np.zeros(scene.input_grid.shape_zyx, np.uint8), scene.input_grid)
        if scene.is_constant:
            return found_nothing("the image has one value everywhere"), background
        judge = self.judge(scene, self._anchored(anchor))
        chain = self._coarse_chain(judge)
        if not chain:
            return found_nothing("no chain of structures was found"), background
        chain, shift, agreement = judge.judged(chain)
        if self.learned.label is None:
            return self._verdict(scene, chain, shift, agreement), background
        maps: dict[int, Volume] = {}
        for _ in range(self.settings.passes):
            maps = self._probability_maps(judge, chain)
            chain |= self._mask_centres(maps)
        return self._verdict(scene, chain, shift, agreement), self._labels(scene, maps)

    def segment(self, channels: Mapping[str, Volume], landmarks: Landmarks) -> Volume:
        """Label image of the structures whose places are known."""
        judge, names = self.judge(self.scene(channels), {}), self.learned.names
        chain = {names.index(name): landmarks[name] for name in landmarks if name in names}
        return self._labels(judge.scene, self._probability_maps(judge, chain))

    def scene(self, channels: Mapping[str, Volume]) -> Scene:
        """Level the images in brightness and contrast."""
        chosen = {name: channels[name] for name in self.learned.channels}
        return Scene(chosen, self.settings.coarse_spacing_mm, self.settings.normalise_mm)

    def judge(self, scene: Scene, anchor: Chain) -> ChainJudge:
        """Return what refines chains of this scan and compares them with those one level up and down."""
        learned = self.learned
        return ChainJudge(
            scene, learned.steps, learned.unit_steps, learned.fine, learned.shift, self.settings, self.seed, anchor,
            self.n_jobs,
        )  # fmt: skip

    def _anchored(self, anchor: Mapping[str, ArrayLike]) -> Chain:
        """Check the anchors and number them."""
        chain, names = {}, self.learned.names
        for name, point in anchor.items():
            place = np.asarray(point, dtype=np.float64)
            if name not in names:
                raise DataError(f"anchor {name}: the model knows {', '.join(names)}")
            if place.shape != (3,) or not np.isfinite(place).all():
                raise DataError(f"anchor {name}: expected three finite coordinates, got {place.tolist()}")
            chain[names.index(name)] = place
        return chain

    # -- coarse -------------------------------------------------------------------------------------------------

    def _coarse_chain(self, judge: ChainJudge) -> Chain:
        """Votes over the whole volume, modes, and the best chain through them (and through the anchors)."""
        settings, view = self.settings, judge.scene.coarse
        votes = self.learned.coarse.votes(view, settings, self.n_jobs)
        anchors = {s: view.to_view(point) for s, point in judge.anchor.items()}
        candidates = self._candidates(votes, anchors)
        scores = self._log_scores(votes, candidates)
        for s in anchors:
            scores[s] = np.array([_CERTAIN])
        chosen, _ = best_chain(
            candidates, scores, self.learned.steps,
            floor_mm=settings.step_floor_mm, absent_log_score=settings.absent_log_score,
        )  # fmt: skip
        return {s: view.to_lps(candidates[s][c]) for s, c in enumerate(chosen) if c is not None}

    def _candidates(self, votes: Sequence[VoteMap], anchors: Chain) -> list[FloatArray]:
        """Places where each structure may be: modes of the votes, where neighbours point to, anchors."""
        steps = self.learned.steps
        candidates = with_neighbours([own.modes(self.settings.modes)[0] for own in votes], steps.mean_mm)
        if not anchors:
            return candidates
        # any place may get another name than it has by itself
        places = [steps.chain_through(s, point) for s, point in anchors.items()]
        everything = np.concatenate([*candidates, *places])
        return [anchors[s][None] if s in anchors else everything for s in range(len(candidates))]

    def _log_scores(self, votes: Sequence[VoteMap], candidates: Sequence[FloatArray]) -> list[FloatArray]:
        """Log of how many patches vote for each place, of those within reach."""
        expected = (self.settings.coarse_reach_mm / self.settings.coarse_grid_mm) ** 3
        pairs = zip(votes, candidates, strict=True)
        return [np.log(own.density(places) / expected + 1e-4) for own, places in pairs]

    # -- segmentation -------------------------------------------------------------------------------------------

    def _probability_maps(self, judge: ChainJudge, chain: Chain) -> dict[int, Volume]:
        """Probability of each structure in its own view."""
        label = self._label
        shape, scale, frames = label.prior.shape[1:], judge.scale(chain), judge.frames(chain)

        def estimate(s: int) -> Volume:
            view = label_view(judge.scene, chain[s], frames[s], scale, shape, self.settings)
            probability = label.probability(view, s, self.settings)
            start = (np.asarray(view.grid.size_xyz) - np.asarray(probability.shape[::-1])) // 2
            return Volume(probability, view.grid.cropped(start, probability.shape))

        return in_threads(estimate, frames, self.n_jobs)

    def _mask_centres(self, maps: Mapping[int, Volume]) -> Chain:
        """Centroid of each mask that is not empty."""
        centres = {s: mask_centre(volume, self._label.threshold) for s, volume in maps.items()}
        return {s: centre for s, centre in centres.items() if centre is not None}

    def _labels(self, scene: Scene, maps: Mapping[int, Volume]) -> Volume:
        values = {name: value for value, name in self.learned.label_names.items()}
        named = {values[self.learned.names[s]]: volume for s, volume in maps.items()}
        return label_image(named, self._label.threshold, scene.input_grid)

    @property
    def _label(self) -> LabelModel:
        if self.learned.label is None:
            raise DataError("this model was trained on points without masks: it localizes but cannot segment")
        return self.learned.label

    # -- verdict ------------------------------------------------------------------------------------------------

    def _verdict(
        self, scene: Scene, chain: Chain, shift: Mapping[int, float], agreement: Mapping[int, float]
    ) -> Localization:
        """Say what was found of the chain in the image, and how sure the names are."""
        inside = {s: p for s, p in chain.items() if bool(scene.input_grid.contains(p[None])[0])}
        return verdict(inside, self.learned.names, shift, agreement)
