"""The benchmarks: what they write, how they pair times, and how they measure memory."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest

from benchmarks import __main__ as command
from benchmarks import data, memory, peak, peers, timing
from benchmarks.results import write_results
from benchmarks.rows import Goal, Row, comparison
from benchmarks.scales import QUICK
from benchmarks.table import text
from benchmarks.timing import Pairs, paired
from tests.benchmarks.allocation import allocate

NUMBERS = (int, float, type(None))
CONTRACT = {"what", "ours", "peer", "peer_name", "ratio", "goal", "peak_memory_mb"}
needs_compiled_kernels = pytest.mark.skipif(
    bool(numba.config.DISABLE_JIT), reason="forests take minutes without them"
)


def rows_of(tmp_path: Path, *arguments: str) -> list[dict[str, Any]]:
    file = tmp_path / "rows.json"
    assert command.main(["--quick", "--json", str(file), *arguments]) == 0
    rows: list[dict[str, Any]] = json.loads(file.read_text())
    return rows


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], Callable[[], None]]:
    """A clock that only the calls it hands out move on."""
    now = [0.0]
    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])

    def taking(seconds: float) -> Callable[[], None]:
        def work() -> None:
            now[0] += seconds

        return work

    return taking


def test_the_two_sides_take_turns_in_going_first_after_one_call_of_each() -> None:
    calls: list[str] = []
    paired(lambda: calls.append("ours"), lambda: calls.append("peer"), 3)
    assert calls == ["ours", "peer", "ours", "peer", "peer", "ours", "ours", "peer"]


def test_a_slow_peer_is_not_warmed_up() -> None:
    calls: list[str] = []
    paired(lambda: calls.append("ours"), lambda: calls.append("peer"), 1, warm_peer=False)
    assert calls == ["ours", "ours", "peer"]


def test_each_side_is_charged_with_its_own_time(clock: Callable[[float], Callable[[], None]]) -> None:
    assert paired(clock(2.0), clock(6.0), 3) == Pairs((2.0, 2.0, 2.0), (6.0, 6.0, 6.0))


def test_the_ratio_is_taken_pair_by_pair() -> None:
    row = comparison("a", "b", Pairs((1.0, 2.0, 4.0), (3.0, 4.0, 5.0)))
    assert row.ratio == {"median": 2.0, "min": 1.25, "max": 3.0}
    assert (row.ours, row.peer) == (2.0, 4.0)


def test_a_peer_that_did_half_of_the_work_is_scaled_up() -> None:
    row = comparison("a", "b", Pairs((1.0,), (3.0,)), 2.0)
    assert (row.peer, row.ratio) == (6.0, {"median": 6.0, "min": 6.0, "max": 6.0})


@pytest.mark.parametrize(
    ("value", "at_most", "reached"),
    [
        (1.9, False, "missed"),
        (2.0, False, "goal"),
        (3.0, False, "stretch"),
        (2.5, True, "missed"),
        (2.0, True, "goal"),
    ],
)
def test_goals_are_judged_from_the_right_side(value: float, at_most: bool, reached: str) -> None:
    goal = Goal(2, 1 if at_most else 3, at_most=at_most)
    assert Row("a", value=value, goal=goal).reached == reached


def test_a_ratio_without_equal_accuracy_misses_its_goal() -> None:
    row = comparison("a", "b", Pairs((1.0,), (9.0,)), goal=Goal(2), holds=False)
    assert row.reached == "missed"


def test_peak_memory_is_that_of_a_fresh_process() -> None:
    kept = np.ones(50_000_000)  # 400 MB that the child must not be charged with
    small = peak.peak_memory_mb(allocate, QUICK, "1")
    large = peak.peak_memory_mb(allocate, QUICK, "200")
    assert peak.peak_so_far_mb() > kept.nbytes / 1e6
    assert 150 < large - small < 250
    assert small < kept.nbytes / 1e6


def test_a_child_that_fails_is_reported_with_its_message() -> None:
    with pytest.raises(RuntimeError, match="invalid literal"):
        peak.peak_memory_mb(allocate, QUICK, "many")


def test_numpy_gathers_what_the_package_gathers() -> None:
    from regforest.features import BoxFeatures

    rng = np.random.default_rng(0)
    image = rng.integers(-1000, 1000, (9, 8, 7), np.int16)
    pool = BoxFeatures.random(12, seed=1, max_offset_mm=6, size_range_mm=(1, 5))
    index = rng.integers(0, 7, (30, 3))
    boxes = pool.compile(1.0)
    table = boxes.box_table(integral := boxes.integrate([image]))
    found = peers.gather_features(
        table.table, table.corners.astype(np.int64), table.scales, integral.flat_index(index)
    )
    assert np.array_equal(found, boxes.evaluate(integral, index))


@needs_compiled_kernels
def test_peers_that_are_not_installed_are_named_with_the_way_to_install_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("sklearnex", "sklearnex.ensemble", "onnxruntime", "skl2onnx"):
        monkeypatch.setitem(sys.modules, module, None)
    rows = rows_of(tmp_path, "--only", "rows")
    absent = {row["peer_name"]: row["note"] for row in rows if row["ratio"] is None}
    assert absent == dict.fromkeys(("onnxruntime", "sklearnex"), "not installed: pip install -e '.[bench]'")


def test_the_list_names_every_benchmark(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--list"]) == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert listed == [benchmark.name for benchmark in command.BENCHMARKS]
    assert len(set(listed)) == len(listed)


@needs_compiled_kernels
@pytest.mark.parametrize("name", ["integral", "dense", "resampling", "reading", "volume", "training", "regression"])
def test_a_quick_run_writes_rows_as_agreed(name: str, tmp_path: Path) -> None:
    rows = rows_of(tmp_path, "--only", name, "--repeats", "1")
    assert rows
    for row in rows:
        assert set(row) >= CONTRACT
        assert all(isinstance(row[key], NUMBERS) for key in ("ours", "peer", "goal", "peak_memory_mb"))
        assert row["ratio"] is None or set(row["ratio"]) == {"median", "min", "max"}
        assert row["reached"] is None  # tiny sizes say nothing
    assert any(row["ratio"] for row in rows)


@needs_compiled_kernels
def test_the_whole_volume_has_the_probabilities_of_scikit_learn(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, "--only", "volume", "--repeats", "1")
    difference = next(row for row in rows if row["what"].startswith("probabilities"))
    assert difference["value"] <= difference["goal"] == 1e-6


@needs_compiled_kernels
@pytest.mark.parametrize("output", ["argmax", "chosen", "full"])
def test_the_work_whose_memory_is_measured_predicts_a_volume(output: str) -> None:
    result = memory.ours(QUICK, output)()
    assert np.asarray(result).shape[-3:] == data.volume_of(QUICK, QUICK.memory_voxels)[0].shape


@needs_compiled_kernels
def test_results_hold_machine_table_and_plot(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, "--only", "scaling", "--only", "integral", "--repeats", "1")
    file = tmp_path / "RESULTS.md"
    write_results(rows, "python -m benchmarks --quick", file)
    page = file.read_text()
    assert "python -m benchmarks --quick" in page
    assert "GB/s" in page
    assert "numpy: pad, three cumsums in int32" in page
    assert (tmp_path / "scaling.png").read_bytes().startswith(b"\x89PNG")
    assert "(scaling.png)" in page


def test_new_results_keep_what_the_page_says_of_bounds(tmp_path: Path) -> None:
    file = tmp_path / "RESULTS.md"
    bounds = "## What bounds the goals that are missed\n\n- **Memory.** It is full."
    file.write_text(f"# Benchmarks\n\n## Against peers\n\nold\n\n{bounds}\n\n## How it is measured\n\nold\n")
    row = comparison("work", "peer", Pairs((1.0, 1.0), (2.0, 3.0)), goal=Goal(2, 4))
    write_results([row.to_json("name")], "python -m benchmarks", file)
    page = file.read_text()
    assert f"\n\n{bounds}\n\n## How it is measured\n\nEach ratio" in page
    assert "old" not in page


def test_the_table_shows_ratio_range_and_note() -> None:
    row = comparison("work", "peer", Pairs((1.0, 1.0), (2.0, 3.0)), goal=Goal(2, 4), note="as it is")
    shown = text([row.to_json("name")])
    assert "2.50x (2.00-3.00)" in shown
    assert "2 (4)" in shown
    assert "as it is" in shown
