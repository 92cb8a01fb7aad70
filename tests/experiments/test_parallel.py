import threading
import time

from experiments.parallel import prefetched


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
