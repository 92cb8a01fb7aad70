"""Exact inference in a hidden Markov model: the best path, and the probability of every state.

A model has V variables along a chain with S states each. All weights are natural logarithms and need not sum to 1;
``-inf`` rules something out.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

__all__ = ["best_path", "path_weight", "state_probabilities"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def best_path(begin: FloatArray, step: FloatArray, emission: FloatArray) -> IntArray:
    """Find the heaviest path (Viterbi).

    Parameters
    ----------
    begin : ndarray, shape (S,)
        Log-weight of the first variable's states.
    step : ndarray, shape (V - 1, S, S)
        Log-weight of going from a state (axis 1) of one variable to a state (axis 2) of the next.
    emission : ndarray, shape (V, S)
        Log-weight of each state by itself.

    Returns
    -------
    ndarray of int, shape (V,)

    Examples
    --------
    >>> step = np.array([[[0.0, -9.0], [-9.0, 0.0]]])
    >>> best_path(np.zeros(2), step, np.array([[0.0, 1.0], [2.0, 0.0]])).tolist()
    [0, 0]
    """
    weight, back = begin + emission[0], []
    for across, own in zip(step, emission[1:], strict=True):
        total = weight[:, None] + across
        back.append(total.argmax(axis=0))
        weight = total.max(axis=0) + own
    path = [int(weight.argmax())]
    for chosen in reversed(back):
        path.append(int(chosen[path[-1]]))
    return np.array(path[::-1])


def path_weight(begin: FloatArray, step: FloatArray, emission: FloatArray, path: IntArray) -> float:
    """Log-weight of one path; parameters as for `best_path`."""
    levels = np.arange(len(path))
    return float(begin[path[0]] + step[levels[:-1], path[:-1], path[1:]].sum() + emission[levels, path].sum())


def state_probabilities(begin: FloatArray, step: FloatArray, emission: FloatArray) -> FloatArray:
    """Probability (V, S) of each state over all paths (forward-backward); parameters as for `best_path`."""
    forward, backward = [begin + emission[0]], [np.zeros(emission.shape[1])]
    for across, own in zip(step, emission[1:], strict=True):
        forward.append(logsumexp(forward[-1][:, None] + across, axis=0) + own)
    for across, own in zip(step[::-1], emission[:0:-1], strict=True):
        backward.append(logsumexp(across + (own + backward[-1]), axis=1))
    weight = np.array(forward) + np.array(backward[::-1])
    return np.asarray(np.exp(weight - logsumexp(weight, axis=1, keepdims=True)))
