"""From annotated scans to records: several side by side, within a bound for memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import joblib

from regforest.discs.memory import LEARN_LESS, memory_of_training
from regforest.discs.settings import DiscSettings
from regforest.discs.training import TrainingRecord, prepare_record
from regforest.errors import DataError
from regforest.spatial import AnnotatedScan

__all__ = ["prepare_records"]

Given = AnnotatedScan | TrainingRecord


def prepare_records(
    scans: Iterable[Given], settings: DiscSettings, seed: int, n_jobs: int, max_memory_mb: float | None
) -> list[TrainingRecord]:
    """Prepare the scans among those given; records are taken as they are.

    Parameters
    ----------
    scans : iterable of AnnotatedScan or TrainingRecord
        What to learn from.
    settings : DiscSettings
        All numbers of the method.
    seed : int
        Seed of the patches that are drawn.
    n_jobs : int
        Most threads; does not change the records.
    max_memory_mb : float or None
        Bound for the memory that this takes, all that is given included.

    Raises
    ------
    DataError
        If there is no scan, the scans' channels differ, or the work does not fit into the memory.

    Examples
    --------
    >>> prepare_records([], DiscSettings(), seed=0, n_jobs=1, max_memory_mb=None)
    Traceback (most recent call last):
    regforest.errors.DataError: expected at least one annotated scan to learn from, got none
    """
    given = list(scans)
    if not given:
        raise DataError("expected at least one annotated scan to learn from, got none")
    jobs = (joblib.delayed(_record)(scan, settings, seed) for scan in given)
    threads = _threads(given, settings, n_jobs, max_memory_mb)
    records: list[TrainingRecord] = list(joblib.Parallel(n_jobs=threads, prefer="threads")(jobs))
    _check_channels(records)
    return records


def _record(scan: Given, settings: DiscSettings, seed: int) -> TrainingRecord:
    return scan if isinstance(scan, TrainingRecord) else prepare_record(scan, settings, seed)


def _threads(scans: Sequence[Given], settings: DiscSettings, n_jobs: int, max_memory_mb: float | None) -> int:
    """Return how many scans may be prepared side by side; refuse what does not fit."""
    sizes = [scan.size for scan in scans if isinstance(scan, AnnotatedScan)]
    if max_memory_mb is None or not sizes:
        return n_jobs
    kept_mb = sum(scan.size_mb for scan in scans if isinstance(scan, TrainingRecord))
    left_mb = max_memory_mb - kept_mb - sum(size.files_mb for size in sizes)
    need = memory_of_training(settings, sizes, n_jobs)
    need.check(left_mb, "training", LEARN_LESS)
    return need.threads(next(iter(need)), left_mb, n_jobs)


def _check_channels(records: Sequence[TrainingRecord]) -> None:
    for record in records:
        if record.channels != records[0].channels:
            raise DataError(
                f"{record.name} has the channels {list(record.channels)}, "
                f"{records[0].name} has {list(records[0].channels)}; "
                "train on channels that all scans have"
            )
