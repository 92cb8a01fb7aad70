import threading
import time

import pytest

from experiments.parallel import in_parallel, prefetched


def test_results_come_in_the_order_of_the_items_whatever_finishes_first():
    def slow_first(i):
        time.sleep(0.03 if i == 0 else 0)
        return i * i

    assert in_parallel(slow_first, list(range(8)), jobs=4) == [i * i for i in range(8)]
    assert in_parallel(slow_first, [], jobs=4) == []


def test_an_error_reaches_the_caller():
    def fail(i):
        if i == 3:
            raise ValueError("three")

    with pytest.raises(ValueError, match="three"):
        in_parallel(fail, list(range(6)), jobs=2)


def test_reading_ahead_keeps_the_order_and_is_bounded():
    started, lock = [], threading.Lock()

    def read(i):
        with lock:
            started.append(i)
        return i

    stream = prefetched(read, iter(range(100)), jobs=2)
    assert [next(stream) for _ in range(5)] == [0, 1, 2, 3, 4]
    time.sleep(0.05)
    assert max(started) <= 4 + 3
    stream.close()
    assert list(prefetched(read, range(10), jobs=3)) == list(range(10))
