import os

import pytest

from regforest import _memory
from regforest._memory import machine_mb


@pytest.mark.parametrize(
    ("limit", "expected_mb"), [("512000000\n", 512.0), ("max\n", None), ("9223372036854771712", None)]
)
def test_the_memory_of_the_machine_is_that_of_its_container_where_that_has_less(
    tmp_path, monkeypatch, limit, expected_mb
):
    (tmp_path / "memory.max").write_text(limit)
    monkeypatch.setattr(_memory, "_GROUP_LIMITS", (str(tmp_path / "memory.max"), str(tmp_path / "absent")))
    physical_mb = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e6
    assert machine_mb() == (expected_mb or physical_mb)
