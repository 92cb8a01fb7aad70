"""Makes the shipped chain prior from the anatomy tables: ``python -m tools.make_chain_prior``.

The tables are those of the phantoms (``regforest/datasets/phantoms/*.csv``, sources and terms in the README beside
them), the result is ``regforest/vertebrae/data/chain_prior.json``.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import regforest.vertebrae
from regforest.datasets.phantoms.anatomy import lag_correlation, step_statistics
from regforest.io import write_text
from regforest.spatial import LEVELS
from regforest.vertebrae.chain_prior import ARCS, STAND_INS, ChainPrior

__all__ = ["TARGET", "chain_prior_text", "make_chain_prior"]

TARGET = Path(regforest.vertebrae.__file__).parent / "data" / "chain_prior.json"
"""Where the shipped prior lies."""

_RARE_PROBABILITY = {"T11>L1": 0.01, "T12>T13": 0.01, "L5>L6": 0.025}  # set by hand: the tables know nothing of them
_SOURCE_A_ONLY = ("C1", "C2")  # upper levels of steps to or from C2, whose centre the sources place differently
_SYMMETRIC_MM = 3.0  # a mean step less than this to one side is chance: spines are symmetric
_DECIMALS = 3


def make_chain_prior() -> ChainPrior:
    """Pool the sources of the anatomy tables with equal weight; nothing is known of where a chain begins or ends."""
    pooled = [_pooled_step(*STAND_INS.get(arc, arc)) for arc in ARCS]
    correlation = (lag_correlation("A")[1:] + lag_correlation("B")[1:]) / 2  # lag 0 is 1
    return ChainPrior(
        step_mean_mm=np.round([mean for mean, _ in pooled], _DECIMALS),
        step_covariance_mm2=np.round([covariance for _, covariance in pooled], _DECIMALS),
        step_correlation=np.round(correlation, _DECIMALS),
        rare_probability=_RARE_PROBABILITY,
        start_log=np.zeros(len(LEVELS)),
        end_log=np.zeros(len(LEVELS)),
    )


def _pooled_step(upper: str, lower: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean (3,) and covariance (3, 3) of a step in an equal mixture of the sources that have it, LPS mm."""
    sources = ("A",) if upper in _SOURCE_A_ONLY else ("A", "B")
    steps = [step_statistics(source)[upper, lower] for source in sources if (upper, lower) in step_statistics(source)]
    mean = np.mean([step.mean_mm for step in steps], axis=0)
    spread = [step.covariance_mm2 + np.outer(step.mean_mm - mean, step.mean_mm - mean) for step in steps]
    if abs(mean[0]) < _SYMMETRIC_MM:
        mean[0] = 0.0
    return mean, np.mean(spread, axis=0)


def chain_prior_text() -> str:
    """Return the content of the shipped file."""
    return json.dumps(make_chain_prior().to_dict()) + "\n"


if __name__ == "__main__":
    write_text(TARGET, chain_prior_text())
    print(f"wrote {TARGET}")
