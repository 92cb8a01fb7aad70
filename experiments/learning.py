"""What learning may take of the memory of a process: compared with a bound for every stage before a case is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from experiments.plan import Plan
from experiments.protocol import Fold
from experiments.site import Site
from regforest._memory import MemoryNeed
from regforest.datasets import readable_sizes
from regforest.spatial import ScanSize

__all__ = ["LearningMemory"]

_LESS = "use fewer cases (--limit), fewer channels, or settings that draw less (--set)"


class LearningMemory:
    """The memory of the steps that learn, shared out.

    Parameters
    ----------
    plan : Plan
        The run.
    name : str
        The method.
    site : Site
        Where steps are done.
    folds : sequence of Fold
        What is left to do; `at_once` of them are learned from at a time.

    Raises
    ------
    TooLargeError
        If a fold cannot be learned within the bound, even with one thread. What cannot be told from headers is told
        by the step itself.
    """

    def __init__(self, plan: Plan, name: str, site: Site, folds: Sequence[Fold], at_once: int) -> None:
        self._plan, self._method, self._site = plan, plan.methods[name], site
        self._everything = Fold("all", tuple(sorted({case for fold in folds for case in fold.train})), ())
        self._free_mb = site.free_memory_mb(plan.options.max_memory_mb)
        self._processes_share = min(site.steps_per_process, at_once)
        self._sizes = self._headers()
        self.fit_mb = self._free_mb
        if self._sizes:
            for fold in [self._everything] if self._method.prepare is not None else folds:
                self._need(fold.train, 1, 0).check(self._free_mb, f"fold {fold.name}", _LESS)

    def batches(self) -> Iterator[tuple[Sequence[str], float | None]]:
        """Yield cases that may be prepared side by side, and what each of them may take."""
        cases, jobs = self._everything.train, self._site.steps_per_process
        if self._free_mb is None or not self._sizes or not self._site.nearby:
            yield cases, None if self._free_mb is None else self._free_mb / jobs
            return
        need = self._need(cases, jobs, 0)
        (stage,) = need
        jobs = need.threads(stage, self._free_mb, jobs)
        for start in range(0, len(cases), jobs):
            yield cases[start : start + jobs], (self._free_mb - need[stage].held_mb) / jobs

    def after_preparing(self) -> None:
        """Share out what is left beside the prepared scans, which all folds use."""
        left_mb = self._site.free_memory_mb(self._plan.options.max_memory_mb)
        if left_mb is not None and self._free_mb is not None:
            self.fit_mb = left_mb / self._processes_share + max(0.0, self._free_mb - left_mb)

    def ahead(self, fold: Fold, jobs: int) -> int:
        """Return how many scans may be read ahead while others are learned from."""
        if not self._sizes or self._free_mb is None:
            return jobs
        fitting = (n for n in range(jobs, 0, -1) if self._need(fold.train, 1, n + 1).least_mb <= self._free_mb)
        return next(fitting, 0)

    def _headers(self) -> dict[str, ScanSize]:
        """Sizes of the training scans, but of those that only workers see."""
        if self._free_mb is None or self._method.training_need is None:
            return {}
        return readable_sizes(map(self._plan.case, self._everything.train))

    def _need(self, cases: Sequence[str], n_jobs: int, ahead: int) -> MemoryNeed:
        assert self._method.training_need is not None
        sizes = [self._sizes[case] for case in cases if case in self._sizes]
        return self._method.training_need(self._method.settings, sizes, n_jobs, ahead) if sizes else MemoryNeed()
