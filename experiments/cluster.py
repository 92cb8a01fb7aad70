"""The steps of a run on the workers of a Dask cluster; docs/cluster.md says how to have one."""

from __future__ import annotations

import dataclasses
import itertools
import logging
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from experiments.manifest import versions
from experiments.options import Options
from experiments.plan import Plan, make_plan
from experiments.protocol import Experiment
from experiments.site import Site
from experiments.work import Result
from regforest._memory import resident_mb
from regforest._threads import pin_blas
from regforest.errors import UsageError
from regforest.io import differences

try:
    from distributed import Client, Future, LocalCluster, wait
except ImportError as error:
    raise UsageError(f"--scheduler needs Dask ({error.name} is missing): pip install 'regforest[cluster]'") from error

__all__ = ["Cluster"]

_UNDER_WAY = 2000  # cases of a fold that the scheduler is told of at once
_CONNECT_SECONDS = 20


class Cluster(Site):
    """Workers of an existing cluster, or processes of this machine.

    A model and what was prepared of a scan stay on the workers; one that needs them gets them once. What comes back
    is what is kept of each case. Where a worker dies, Dask does its steps again on another.

    Parameters
    ----------
    address : str
        Of the scheduler, or ``"local:N"`` for N processes.
    options : Options
        ``jobs`` are shared out among local processes, which Dask ends when they exceed ``max_memory_mb``.

    Raises
    ------
    UsageError
        If there is no scheduler, no worker, or a worker with other versions of what decides the numbers.
    """

    def __init__(self, address: str, options: Options) -> None:
        super().__init__()
        self.jobs = _UNDER_WAY
        self._own = _local(address, options) if address.startswith("local:") else None
        try:
            self._client = Client(self._own or address, timeout=_CONNECT_SECONDS)
            self._client.wait_for_workers(1, timeout=_CONNECT_SECONDS)
        except (OSError, TimeoutError, ValueError) as error:
            raise UsageError(f"--scheduler {address}: expected a Dask scheduler with workers; {error}") from error
        self._token, self._numbers = uuid.uuid4().hex[:8], itertools.count()
        self._plan: Future | None = None
        self.steps_per_process = min(self._client.nthreads().values())

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.cancel(list(self._pending), reason="the run has ended")
        self._client.close()
        if self._own is not None:
            self._own.close()

    def plan(self, experiment: Experiment, options: Options) -> Plan:
        """Make the plan on a worker: its data may be out of sight here."""
        self._refuse_other_versions()
        given = {name: getattr(options, name) for name in ("data", "splits", "patients", "published")}
        absolute = {name: path and Path(path).absolute() for name, path in given.items()}
        local = {"out": options.out, "command": options.command}
        on_worker = dataclasses.replace(options, **absolute, jobs=self.steps_per_process)
        self._plan = self._client.submit(make_plan, experiment, on_worker, key=self._key("plan"))
        plan: Plan = self._plan.result()
        return dataclasses.replace(plan, options=dataclasses.replace(plan.options, **local))

    def folds_at_once(self, count: int) -> int:
        """Return all: the scheduler shares them out."""
        return count

    def fit_jobs(self, at_once: int) -> int:
        """Return the threads of a worker."""
        return self.steps_per_process

    def free_memory_mb(self, limit_mb: float | None) -> float | None:
        """Leave out what the fullest worker has already."""
        if limit_mb is None:
            return None
        return limit_mb - max(self._client.run(resident_mb).values())

    def versions(self) -> Mapping[str, str]:
        """Return those of a worker; all have the same."""
        return next(iter(self._client.run(versions).values()))

    def _refuse_other_versions(self) -> None:
        mine = _deciding(versions())
        for worker, theirs in self._client.run(versions).items():
            changed = differences(mine, _deciding(theirs))
            if changed:
                lines = "\n  ".join(changed)
                raise UsageError(f"worker {worker} has other versions, which may give other numbers:\n  {lines}")

    def _begin(self, name: str, function: Callable[..., Any], arguments: Any, stays: bool) -> tuple[Any, Any]:
        sent = [self._plan if isinstance(argument, Plan) else argument for argument in arguments]
        future = self._client.submit(_step, function, *sent, key=self._key(name))
        told = self._client.submit(_outline, future, key=self._key(f"told-{name}")) if stays else future
        return future, told

    def _some_done(self, pending: list[Any]) -> Any:
        return wait(pending, return_when="FIRST_COMPLETED").done

    def _result_of(self, done: Any) -> Any:
        error = done.exception()
        return done.result() if error is None else error

    def _key(self, name: str) -> str:
        """Return a name that people recognise on the dashboard and that no other step or run has."""
        return f"{name}-{self._token}-{next(self._numbers)}"


def _local(address: str, options: Options) -> LocalCluster:
    count = address.removeprefix("local:")
    if not count.isdecimal() or not int(count):
        raise UsageError(f"--scheduler {address}: expected local:N with a number of processes")
    limit = "auto" if options.max_memory_mb is None else int(options.max_memory_mb * 1e6)
    threads = max(1, options.jobs // int(count))
    return LocalCluster(
        n_workers=int(count), threads_per_worker=threads, memory_limit=limit, dashboard_address="127.0.0.1:0",
        silence_logs=logging.ERROR,
    )  # fmt: skip


def _deciding(found: Mapping[str, str]) -> dict[str, str]:
    return {name: version for name, version in found.items() if name != "platform"}


def _step(function: Callable[..., Any], *arguments: Any) -> Any:
    pin_blas()
    return function(*arguments)


def _outline(result: Result[Any]) -> Result[Any]:
    """Say what there is to say of a result whose value stays where it is."""
    return dataclasses.replace(result, value=None if result.value is None else "on a worker")
