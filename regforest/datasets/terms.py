"""Terms and citation of the data sets of the field: shown at the first use, and on every report."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import TextIO

from regforest.datasets.case import Dataset
from regforest.datasets.phantoms.cache import cache_root

__all__ = ["IVDM3SEG", "LUMBAR_MRI", "SPINE_CT", "DataTerms", "announce_terms"]


@dataclass(frozen=True)
class DataTerms:
    """What its owners ask of whoever uses a data set.

    Attributes
    ----------
    name : str
        Of the data set.
    terms : str
        Licence terms, in our words; what was accepted at download is what counts.
    citation : str
        Publication to cite.
    """

    name: str
    terms: str
    citation: str


SPINE_CT = DataTerms(
    "Annotated Spine CT Database",
    "Annotated Spine CT Database (Microsoft Research and the University of Washington): for non-commercial research "
    "under the licence accepted at download; not to be redistributed.",
    "B. Glocker, D. Zikic, E. Konukoglu, D. R. Haynor, A. Criminisi: Vertebrae Localization in Pathological Spine CT "
    "via Dense Classification from Sparse Annotations. MICCAI 2013.",
)
"""Vertebrae in CT."""

IVDM3SEG = DataTerms(
    "IVDM3Seg",
    "IVDM3Seg: by signed agreement with the organisers; the images may not be passed on; cite the MLMI 2014 paper.",
    "C. Chen, D. Belavy, G. Zheng: 3D Intervertebral Disc Localization and Segmentation from MR Images by "
    "Data-driven Regression and Classification. MLMI 2014.",
)
"""Discs in Dixon MR; the same for the multi-modality database of 2014."""

LUMBAR_MRI = DataTerms(
    "Lumbar Spine MRI Dataset",
    "Lumbar Spine MRI Dataset: open data; name its authors, under the licence stated on its page.",
    "S. Sudirman, A. Al Kafri, F. Natalia, H. Meidia, N. Afriliana, W. Al-Rashdan, M. Bashtawi, M. Al-Jumaily: "
    "Lumbar Spine MRI Dataset. Mendeley Data, 2019, doi:10.17632/k57fr854j2.",
)
"""Lumbar MR of 515 patients in DICOM."""


def announce_terms(dataset: Dataset, stream: TextIO | None = None) -> None:
    """Show terms and citation the first time that this user opens data of a layout; later calls are silent.

    What was shown is remembered as an empty file in the cache (`phantoms.cache.cache_root`). Where that cannot be
    written, the terms are shown each time.

    Parameters
    ----------
    dataset : Dataset
        Phantoms, and folders of one's own, have no terms and show nothing.
    stream : text file, optional
        By default stderr.
    """
    mark = cache_root() / "terms-shown" / dataset.layout
    if not dataset.terms or os.path.exists(mark):
        return
    print(f"{dataset.terms}\nPlease cite: {dataset.citation}\n(shown once)", file=stream or sys.stderr)
    try:
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
    except OSError:
        pass  # a read-only home must not stop a run
