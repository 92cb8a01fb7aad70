"""One method through all folds: fit, apply to every case, try again what may have failed for want of memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import Any

from tqdm import tqdm

from experiments.failures import Failures
from experiments.learning import LearningMemory
from experiments.manifest import Stages
from experiments.outputs import RunFolder
from experiments.plan import Plan
from experiments.protocol import Fold
from experiments.site import Site
from experiments.work import Result, Share, Trouble, finish_case, fit_fold, prepare_scan
from regforest.errors import RegForestError

__all__ = ["MethodRun"]


class MethodRun:
    """What one method does in a run.

    Parameters
    ----------
    plan : Plan
        The run.
    name : str
        The method.
    folder : RunFolder
        Where finished cases are kept.
    site : Site
        Where steps are done.
    failures, stages : Failures, Stages
        What is to be reported.
    suspects : set of str
        Cases that a killed run was working on: they come last, alone and with as little memory as possible.
    """

    def __init__(
        self, plan: Plan, name: str, folder: RunFolder, site: Site, failures: Failures, stages: Stages,
        suspects: set[str],
    ) -> None:  # fmt: skip
        self.plan, self.name, self.folder, self.site = plan, name, folder, site
        self.failures, self.stages, self.suspects = failures, stages, suspects
        todo = {f.name: [c for c in f.test if folder.stored_case(name, c) is None] for f in plan.folds}
        self.waiting = deque(_FoldRun(self, fold, todo[fold.name]) for fold in plan.folds if todo[fold.name])
        self.prepared: dict[str, Any] = {}
        self.at_once = max(1, min(site.folds_at_once(len(plan.folds)), len(self.waiting)))
        self.jobs = max(1, site.jobs // self.at_once)
        self.learning = LearningMemory(plan, name, site, [fold.fold for fold in self.waiting], self.at_once)

    def run(self) -> None:
        """Do all that is left to do."""
        total = sum(len(fold.cases) for fold in self.waiting)
        with tqdm(total=total, desc=self.name, unit="case", disable=None) as self.bar:
            if self.plan.methods[self.name].prepare is not None:
                self._prepare()
            self.share, self.alone = self._share(self.jobs), replace(self._share(1), sparing=True)
            for _ in range(self.at_once):
                self.next_fold()
            self.site.run()

    def next_fold(self) -> None:
        """Begin another fold, if there is one left."""
        if self.waiting:
            self.waiting.popleft().start()

    def note(self, stage: str, result: Result[Any]) -> None:
        """Take down what a step leaves to report."""
        self.stages.add(f"{self.name}: {stage}", result.seconds)
        for trouble in result.troubles:
            self.failures.add(trouble)

    def _share(self, jobs: int) -> Share:
        """Return what a step may take of what is left of the memory, where each fold has `jobs` under way."""
        free = self.site.free_memory_mb(self.plan.options.max_memory_mb)
        return Share(jobs, None if free is None else free / min(self.site.steps_per_process, self.at_once * jobs))

    def _prepare(self) -> None:
        for cases, memory_mb in self.learning.batches():
            for case in cases:
                self.prepared[case] = self.site.submit(
                    f"prepare-{case}", partial(self._prepared, case), prepare_scan,
                    self.plan, self.name, case, memory_mb, stays=True,
                )  # fmt: skip
            self.site.run()
        self.learning.after_preparing()

    def _prepared(self, case: str, outcome: Result[Any] | Exception) -> None:
        result = _result(outcome, [case], "prepare")
        self.note("prepare", result)
        if result.value is None:
            del self.prepared[case]


class _FoldRun:
    """One fold: a model, and the cases that it is applied to."""

    def __init__(self, method: MethodRun, fold: Fold, cases: list[str]) -> None:
        self.method, self.fold, self.cases = method, fold, cases
        suspected = [case for case in cases if f"{method.name}/{case}" in method.suspects]
        self.first = deque(case for case in cases if case not in suspected)
        self.second = deque(suspected)
        self.running = 0
        self.model: Any = None

    def start(self, share: Share | None = None) -> None:
        """Fit; `_fitted` goes on."""
        method, share = self.method, share or self.method.share
        method.bar.set_postfix_str(f"fold {self.fold.name}: fit")
        say = method.bar.set_postfix_str if method.site.nearby else None
        jobs = 1 if share.sparing else method.site.fit_jobs(method.at_once)
        ahead = 0 if share.sparing else method.learning.ahead(self.fold, jobs)
        learning = replace(share, jobs=jobs, ahead=ahead, memory_mb=method.learning.fit_mb)
        self.model = method.site.submit(
            f"fit-{method.name}-{self.fold.name}", partial(self._fitted, share), fit_fold,
            method.plan, method.name, self.fold, learning,
            [method.prepared[case] for case in self.fold.train if case in method.prepared], say, stays=True,
        )  # fmt: skip

    def _fitted(self, share: Share, outcome: Result[Any] | Exception) -> None:
        result = _result(outcome, self.cases, "fit")
        if result.value is None and not share.sparing and any(trouble.passing for trouble in result.troubles):
            self.start(self.method.alone)
            return
        self.method.note("fit", result)
        if result.value is None:
            self.method.next_fold()
            return
        self._feed()

    def _feed(self) -> None:
        """Keep as many cases going as may; second tries come last and alone."""
        while self.first and self.running < self.method.share.jobs:
            self._begin(self.first.popleft(), self.method.share)
        if not self.running and self.second:
            self._begin(self.second.popleft(), self.method.alone)
        if not self.running:
            self.model = None
            self.method.next_fold()

    def _begin(self, case: str, share: Share) -> None:
        method = self.method
        method.folder.note_begun(method.name, case)
        method.bar.set_postfix_str(f"fold {self.fold.name}: {case}")
        self.running += 1
        method.site.submit(
            f"label-{case}", partial(self._finished, case, share), finish_case,
            method.plan, method.name, self.fold, case, replace(share, jobs=1), self.model,
        )  # fmt: skip

    def _finished(self, case: str, share: Share, outcome: Result[Any] | Exception) -> None:
        self.running -= 1
        result = _result(outcome, [case], "apply")
        if result.value is not None:
            result = self._kept(case, result)
        if result.value is None:
            self.method.folder.note_failed(self.method.name, case)
            if not share.sparing and any(trouble.passing for trouble in result.troubles):
                self.method.failures.postpone(result.troubles)
                self.second.append(case)
                self._feed()
                return
        self.method.note("apply", result)
        self.method.bar.update()
        self._feed()

    def _kept(self, case: str, result: Result[Any]) -> Result[Any]:
        try:
            self.method.folder.keep(self.method.name, case, result.value)
        except (RegForestError, OSError) as error:
            return Result(None, (*result.troubles, Trouble.of(case, "write", error)), result.seconds)
        return result


def _result(outcome: Result[Any] | Exception, cases: Iterable[str], stage: str) -> Result[Any]:
    """Turn the loss of a step (its worker was killed, say) into a failure of its cases."""
    if isinstance(outcome, Result):
        return outcome
    text = f"{type(outcome).__name__}: {outcome}"
    return Result(None, tuple(Trouble(case, stage, text, passing=True) for case in cases))
