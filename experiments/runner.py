"""Carries out an experiment: cases in parallel, one bad case does not stop the rest, finished cases are kept."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from experiments.failures import Failures
from experiments.folds import MethodRun
from experiments.manifest import Stages
from experiments.options import Options, build_parser, parse
from experiments.outputs import RunFolder
from experiments.plan import Plan, circumstances
from experiments.protocol import Experiment
from experiments.results import write_results
from experiments.site import Site, Threads
from experiments.work import Trouble
from regforest.errors import DataError, RegForestError, UsageError

__all__ = ["run"]


def run(experiment: Experiment, argv: Sequence[str] | None = None) -> int:
    """Run an experiment from the command line.

    Returns
    -------
    int
        Exit status: 0 done (or found done), 1 some cases failed, 2 wrong usage, 3 data that cannot be used.
    """
    methods = list(experiment.methods)
    parser = build_parser(experiment.name, experiment.description, experiment.layouts, methods, experiment.protocols)
    options = parse(parser, methods, argv)
    try:
        return _run(experiment, options)
    except UsageError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    except (RegForestError, OSError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        print(f"{parser.prog}: stopped; finished cases are kept, go on with --resume", file=sys.stderr)
        return 130


def _run(experiment: Experiment, options: Options) -> int:
    start, stages = time.perf_counter(), Stages()
    with _site(options) as site:
        with stages("data"):
            plan = site.plan(experiment, options)
        folder = RunFolder(options.out, options.methods[0])
        if folder.state(plan.identity, options.resume) == "finished":
            return _stored(plan, folder)
        with folder.held():
            # another run may have been here before the folder was ours
            if folder.state(plan.identity, options.resume) == "finished":
                return _stored(plan, folder)
            return _carried_out(plan, folder, site, stages, start)


def _site(options: Options) -> AbstractContextManager[Site]:
    if options.scheduler is None:
        return Threads(options.jobs)
    from experiments.cluster import Cluster  # Dask comes with the extra `cluster`

    return Cluster(options.scheduler, options)


def _stored(plan: Plan, folder: RunFolder) -> int:
    print(plan.experiment.task.table(folder.read_json("summary.json")).to_text())
    print(f"stored result of {folder.root}; nothing was computed")
    return 0


def _carried_out(plan: Plan, folder: RunFolder, site: Site, stages: Stages, start: float) -> int:
    manifest = {**plan.identity, **circumstances(plan, site.versions())}
    killed_at = folder.begin(manifest)
    suspects = killed_at if site.nearby else set()  # elsewhere it was not this process that did the work
    failures = Failures()
    for fault in plan.dataset.faults:
        failures.add(Trouble(fault.case, fault.stage, fault.error))
    for note in plan.notes:
        print(note, file=sys.stderr)
    # all are made before the first begins: what one of them cannot do within the memory is told at once
    runs = [MethodRun(plan, name, folder, site, failures, stages, suspects) for name in plan.options.methods]
    for method in runs:
        method.run()
    with stages("report"):
        summary = write_results(plan, folder, failures.rows, time.perf_counter() - start)
    folder.write_json(
        "manifest.json",
        {**manifest, "stages": stages.record, "failed": len(failures.rows), "finished": summary["cases"] > 0},
    )
    if not summary["cases"]:
        raise DataError(f"no case could be finished; {folder.root / 'failures.csv'} says why")
    _announce(plan, summary, failures)
    return 1 if failures.rows else 0


def _announce(plan: Plan, summary: Mapping[str, Any], failures: Failures) -> None:
    """Print the table of a run that has just ended, and where the rest is."""
    for note in summary["notes"][len(plan.notes) :]:
        print(note, file=sys.stderr)
    out = plan.options.out
    print(plan.experiment.task.table(summary).to_text())
    print(f"results in {out} ({summary['seconds']:.0f} s); open {out / 'report.html'}")
    if failures.rows:
        print(f"{len(failures.rows)} failures, see {out / 'failures.csv'}")
