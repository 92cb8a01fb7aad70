"""Where the steps of a run are done: in threads of this process, or elsewhere (`experiments.cluster`)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

from experiments.manifest import versions
from experiments.options import Options
from experiments.plan import Plan, make_plan
from experiments.protocol import Experiment
from regforest._memory import resident_mb
from regforest._threads import pin_blas

__all__ = ["Site", "Threads"]

Then = Callable[[Any], None]


class Site(ABC):
    """Does steps and tells, in the calling thread, what came of each.

    Attributes
    ----------
    jobs : int
        How many steps may be under way.
    steps_per_process : int
        How many of them share the memory of a process.
    nearby : bool
        Whether steps share this process and may be given functions to call.
    """

    jobs: int
    steps_per_process: int
    nearby = False

    def __init__(self) -> None:
        self._pending: dict[Any, Then] = {}

    @abstractmethod
    def plan(self, experiment: Experiment, options: Options) -> Plan:
        """Make the plan where the data can be seen."""

    @abstractmethod
    def folds_at_once(self, count: int) -> int:
        """Return how many of `count` folds are worked on side by side."""

    @abstractmethod
    def fit_jobs(self, at_once: int) -> int:
        """Return the threads of each of `at_once` fits."""

    @abstractmethod
    def free_memory_mb(self, limit_mb: float | None) -> float | None:
        """Return what of a bound for a process is left for its work."""

    def versions(self) -> Mapping[str, str]:
        """Return the versions of the software that decide the numbers."""
        return versions()

    def submit(
        self, name: str, then: Then, function: Callable[..., Any], *arguments: Any, stays: bool = False
    ) -> Any:
        """Begin a step.

        Parameters
        ----------
        name : str
            What people see.
        then : callable
            Gets the result, or an error if the step was lost, when `run` comes to it.
        function : callable
            A function of a module, which returns a `Result`.
        *arguments
            What earlier calls returned stands for the results of those.
        stays : bool
            The value is for later steps alone, and `then` may get a result that only says whether there is one.

        Returns
        -------
        object
            Stands for the result in later calls.
        """
        handle, told = self._begin(name, function, arguments, stays)
        self._pending[told] = then
        return handle

    def run(self) -> None:
        """Tell the results as they come, until nothing is under way."""
        while self._pending:
            for done in self._some_done(list(self._pending)):
                self._pending.pop(done)(self._result_of(done))

    @abstractmethod
    def _begin(self, name: str, function: Callable[..., Any], arguments: Any, stays: bool) -> tuple[Any, Any]:
        """Return what stands for the result, and what to wait for."""

    @abstractmethod
    def _some_done(self, pending: list[Any]) -> Any:
        """Wait for one at least."""

    @abstractmethod
    def _result_of(self, done: Any) -> Any:
        """Return the result, or the error of a step that was lost."""


class Threads(Site):
    """Threads of this process: kernels and most of numpy and scipy release the lock."""

    nearby = True

    def __init__(self, jobs: int) -> None:
        super().__init__()
        self.jobs = self.steps_per_process = jobs
        self._pool = ThreadPoolExecutor(jobs)

    def __enter__(self) -> Threads:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def plan(self, experiment: Experiment, options: Options) -> Plan:
        """Make the plan; from here on BLAS has one thread, so that sums do not depend on how many there could be."""
        pin_blas()
        return make_plan(experiment, options)

    def folds_at_once(self, count: int) -> int:
        """Many keep all cores busy by themselves; of two, one at a time keeps one training set in memory."""
        return min(self.jobs, count) if count > 2 else 1

    def fit_jobs(self, at_once: int) -> int:
        """Return an equal share."""
        return max(1, self.jobs // at_once)

    def free_memory_mb(self, limit_mb: float | None) -> float | None:
        """Leave out what the process has already."""
        return None if limit_mb is None else limit_mb - resident_mb()

    def _begin(self, name: str, function: Callable[..., Any], arguments: Any, stays: bool) -> tuple[Any, Any]:
        future = self._pool.submit(_call, function, arguments)
        return future, future

    def _some_done(self, pending: list[Any]) -> Any:
        return wait(pending, return_when=FIRST_COMPLETED).done

    def _result_of(self, done: Any) -> Any:
        return done.result()


def _call(function: Callable[..., Any], arguments: Any) -> Any:
    return function(*(_plain(argument) for argument in arguments))


def _plain(argument: Any) -> Any:
    if isinstance(argument, list):
        return [_plain(item) for item in argument]
    return argument.result() if isinstance(argument, Future) else argument
