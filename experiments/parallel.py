"""Work on many cases at once, in threads: kernels and most of numpy and scipy release the lock."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from typing import TypeVar

from tqdm import tqdm

__all__ = ["in_parallel", "prefetched"]

T = TypeVar("T")
R = TypeVar("R")


def in_parallel(function: Callable[[T], R], items: Sequence[T], jobs: int, stage: str = "") -> list[R]:
    """Call a function on every item with at most `jobs` threads; results in the order of the items.

    Where stderr is a terminal, a progress bar shows the stage if it has a name.
    """
    if not items:
        return []
    with ThreadPoolExecutor(jobs) as pool, tqdm(total=len(items), desc=stage, disable=None if stage else True) as bar:
        futures = [pool.submit(function, item) for item in items]
        try:
            for future in as_completed(futures):
                future.result()
                bar.update()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        return [future.result() for future in futures]


def prefetched(function: Callable[[T], R], items: Iterable[T], jobs: int) -> Iterator[R]:
    """Yield ``function(item)`` in order, computed at most `jobs` items ahead: memory stays bounded."""
    with ThreadPoolExecutor(jobs) as pool:
        waiting: deque[Future[R]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > jobs:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
