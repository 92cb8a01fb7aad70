"""Fuzz every parser for some seconds: ``python -m fuzz --seconds 10 [--only lml verse] [--corpus DIR]``."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from fuzz.parsers import parsers

SEEDS = Path(__file__).parent / "seeds"
_LIMITS = ("-timeout=10", "-rss_limit_mb=3000", "-max_len=4096", "-print_final_stats=1")
_EXECUTED = re.compile(r"stat::number_of_executed_units:\s*(\d+)")


def main() -> int:
    """Print executions per parser; exit status 1 if any of them crashed, hung or raised what it must not."""
    arguments = _arguments()
    failed = []
    for name in arguments.only or parsers():
        with tempfile.TemporaryDirectory() as scratch:
            corpus = Path(arguments.corpus or scratch) / name
            corpus.mkdir(parents=True, exist_ok=True)
            done = _fuzz(name, corpus, arguments)
        executed = _EXECUTED.search(done.stderr)
        good = done.returncode == 0
        print(
            f"{name:18} {executed.group(1) if executed else '?':>10} executions  {'ok' if good else 'FAILED'}",
            flush=True,
        )
        if not good:
            failed.append(name)
            print(done.stdout[-2000:], done.stderr[-5000:], sep="\n", file=sys.stderr)
    return int(bool(failed))


def _fuzz(name: str, corpus: Path, arguments: argparse.Namespace) -> subprocess.CompletedProcess[str]:
    places = [str(corpus), str(SEEDS / name)]
    bounds = [f"-max_total_time={arguments.seconds}", f"-seed={arguments.seed}"]
    words = [f"-dict={SEEDS / 'words.txt'}", f"-artifact_prefix={arguments.found}/{name}-"]
    command = [sys.executable, "-m", "fuzz.harness", name, *places, *bounds, *_LIMITS, *words]
    return subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=10, help="for each parser (default: 10)")
    parser.add_argument("--only", nargs="+", choices=sorted(parsers()), help="these parsers alone")
    parser.add_argument("--seed", type=int, default=1, help="of the mutations (default: 1)")
    parser.add_argument("--corpus", type=Path, help="folder that keeps inputs which reached something new")
    parser.add_argument("--found", type=Path, default=Path(tempfile.gettempdir()), help="where failing inputs go")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
