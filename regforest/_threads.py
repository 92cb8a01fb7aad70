"""The one place that runs kernels in threads, and keeps other libraries from doing so."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")

Progress = Callable[[int, int], None]
"""What long work calls after each step, as ``progress(done, total)``."""


def in_threads(function: Callable[..., T], arguments: Iterable[tuple[Any, ...]], n_jobs: int | None) -> Iterator[T]:
    """Call a function that releases the GIL with each tuple of arguments; yield the results in that order.

    joblib's own threads take some 10 ms to set up, more than a small volume needs altogether.

    Parameters
    ----------
    function : callable
        What to run.
    arguments : iterable of tuple
        One for each call.
    n_jobs : int or None
        Threads, as joblib counts them: None is 1 or what its context says, -1 all cores.

    Examples
    --------
    >>> list(in_threads(pow, [(2, 3), (3, 2)], n_jobs=2))
    [8, 9]
    """
    from joblib import effective_n_jobs

    threads = effective_n_jobs(n_jobs)
    if threads == 1:
        for each in arguments:
            yield function(*each)
        return
    with ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(function, *each) for each in arguments]
        try:
            for future in futures:
                yield future.result()
        finally:  # whoever stops listening, or an error, must not wait for the rest
            for future in futures:
                future.cancel()


def run_in_threads(function: Callable[..., None], arguments: Iterable[tuple[Any, ...]], n_jobs: int | None) -> None:
    """Do the same for a function that fills arrays it is given."""
    for _ in in_threads(function, arguments, n_jobs):
        pass


def pin_blas() -> None:
    """Let BLAS use one thread from now on in this process: its sums depend on the number of threads.

    What is loaded later is not pinned, so import first.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    threadpool_limits(limits=1)
