"""Trains the models that come with the package, on phantoms alone: ``python -m tools.make_models``.

About half an hour on two cores. Each model has a card beside it (`regforest/models/<name>.md`, written by hand).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

from regforest import DiscLocalizer, VertebraLocalizer
from regforest.datasets import open_dataset
from regforest.datasets.phantoms.ct import write_ct_phantom
from regforest.datasets.phantoms.mr import write_mr_phantom
from regforest.discs import DiscSettings
from regforest.discs.settings import JointSettings, PatchSettings
from regforest.spatial import AnnotatedScan
from regforest.vertebrae import VertebraSettings
from regforest.vertebrae.bodies import BodySettings

__all__ = ["MODELS", "main"]

_FOLDER = Path(__file__).resolve().parents[1] / "regforest" / "models"
_SEED = 2013  # not one that an experiment draws its phantoms from
_JOBS = 2
# name, scans, seed, share with the whole body in view, varied; none of a seed that an experiment uses
_CT_SETS = (("first", 160, _SEED, 0.4, False), ("second", 160, 2014, 0.4, False), ("varied", 112, 4242, 0.35, True))


def main(names: list[str]) -> None:
    """Train the named models, all by default."""
    for name in names or MODELS:
        MODELS[name](_FOLDER / f"{name}.rfm")


def _ct(path: Path) -> None:
    """Train on usual and on varied phantoms, with wide views among them; leaves are large enough for a small file."""
    bodies = BodySettings(trees=16, min_samples_leaf=40)
    localizer = VertebraLocalizer(VertebraSettings(trees=22, min_samples_leaf=20, bodies=bodies), seed=_SEED)
    with TemporaryDirectory() as folder:
        for name, scans, seed, wide_share, varied in _CT_SETS:
            write_ct_phantom(Path(folder, name), scans, seed, wide_share=wide_share, varied=varied, jobs=_JOBS)
        drawn = chain.from_iterable(_scans(f"{folder}/{name}") for name, *_ in _CT_SETS)
        localizer.fit(drawn, n_jobs=_JOBS).save(path)


def _mr(path: Path) -> None:
    """Train on T2 images, the contrast that most lumbar examinations have; fewer patches make a small file."""
    settings = DiscSettings(
        coarse_rows=12_000, fine_patches=40, label_patches=320,
        label_patch=PatchSettings((5.0, 15.0, 30.0), 5, 32), label_joint=JointSettings(20, 1.0, 0.0, 0.5, 1.0),
    )  # fmt: skip
    with TemporaryDirectory() as folder:
        write_mr_phantom(Path(folder), 10, _SEED, contrast="t2", layout="labelled-folder", jobs=_JOBS)
        DiscLocalizer(settings, seed=_SEED).fit(list(_scans(folder)), n_jobs=_JOBS).rounded().save(path)


def _scans(folder: str) -> Iterator[AnnotatedScan]:
    return (case.load() for case in open_dataset(Path(folder)).cases)


MODELS: dict[str, Callable[[Path], None]] = {"ct-phantom": _ct, "mr-phantom": _mr}
"""Name -> what trains the model and writes it to a path."""


if __name__ == "__main__":
    main(sys.argv[1:])
