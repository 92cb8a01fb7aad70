"""What is said of a chain that was found, and how sure its names are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from regforest.discs.hypotheses import Chain
from regforest.spatial import Landmarks, Localization

__all__ = ["found_nothing", "verdict"]

_UNCERTAIN_SHIFT = 0.1


def found_nothing(reason: str) -> Localization:
    """Return the answer where there is no structure.

    Examples
    --------
    >>> found_nothing("the image has one value everywhere").status
    'empty'
    """
    return Localization(Landmarks({}), "empty", reason)


def verdict(
    chain: Chain, names: Sequence[str], shift_probability: Mapping[int, float], agreement: Mapping[int, float]
) -> Localization:
    """Name the structures, and say what is missing and whether the chain may be shifted.

    Parameters
    ----------
    chain : dict of int to ndarray, shape (3,)
        Number of a structure -> centre in the image, LPS millimetres.
    names : sequence of str
        All structures, cranial to caudal.
    shift_probability : mapping of int to float
        Probability that the chain is right (0) or lies one level too high (+1) or too low (-1).
    agreement : mapping of int to float
        Number of a structure -> share of the patches that agree on its centre.

    Examples
    --------
    >>> import numpy as np
    >>> found = verdict({0: np.zeros(3)}, ["L4", "L5"], {-1: 0.0, 0: 0.8, 1: 0.2}, {0: 0.5})
    >>> found.status, found.reason
    ('uncertain', 'the chain may be shifted by one level (probability 0.20); not in the image or not found: L5')
    """
    if not chain:
        return found_nothing(f"found none of {', '.join(names)}")
    right = shift_probability[0]
    reasons = []
    if right < 1 - _UNCERTAIN_SHIFT:
        reasons.append(f"the chain may be shifted by one level (probability {1 - right:.2f})")
    missing = [name for s, name in enumerate(names) if s not in chain]
    if missing:
        reasons.append(f"not in the image or not found: {', '.join(missing)}")
    return Localization(
        Landmarks({names[s]: p for s, p in chain.items()}, {names[s]: agreement[s] for s in chain}),
        "uncertain" if reasons else "ok", "; ".join(reasons),
        anchored=right >= 1 - _UNCERTAIN_SHIFT, shift_probability=shift_probability,
        probabilities={names[s]: right for s in chain},
    )  # fmt: skip
