"""The kernels mean the same as plain Python and stay within their arrays.

Fresh processes, because numba reads its switches when it is imported.
"""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

PROGRAM = """
import numpy as np
from regforest.features import BoxFeatures, BoxSpace
from regforest.forest import ForestClassifier, ForestRegressor, predict_coarse_to_fine, predict_labels, predict_points
from regforest.forest import TrainingImage, TreeSettings, grow_on_images, predict_volume

np.seterr(over="ignore")  # 64-bit arithmetic of the random numbers wraps around on purpose
rng = np.random.default_rng(0)
image = (rng.normal(size=(4, 5, 13)) * 3000).astype(np.int16)
image[1:3, 1:4, 3:9] += 4000
pool = BoxFeatures.random(12, seed=1, max_offset_mm=4, size_range_mm=(1, 5))
index = np.argwhere(image > -10**6)
X = pool.evaluate([image], 1.0, index)
y = (image > 2000).ravel()
forest = ForestClassifier(2, max_depth=6, random_state=0).fit(X, y).forest_
soft = ForestRegressor(2, max_depth=4, random_state=0).fit(X, index.astype(float)).forest_
drawn = grow_on_images(
    [TrainingImage([image], index)], 1.0, BoxSpace(4, (1, 5)), y.astype(np.int32), TreeSettings(3, max_depth=4),
    seed=0, n_trees=2, n_classes=2,
)
np.savez(
    OUT, X=X, dense=pool.evaluate_dense([image], 1.0), volume=predict_volume(forest, pool, [image], 1.0),
    strided=predict_volume(forest, pool, [image], 1.0, stride=3),
    labels=predict_labels(forest, pool, [image], 1.0).label,
    coarse=predict_coarse_to_fine(forest, pool, [image], 1.0, background=0, stride=2),
    points=predict_points(soft, pool, [image], 1.0, index[::3]), rows=forest.predict(X), leaves=soft.apply(X),
    **{"drawn_" + name: array for name, array in (drawn.forest.to_arrays() | drawn.boxes.to_arrays()).items()},
    **{"hard_" + name: array for name, array in forest.to_arrays().items()},
    **{"soft_" + name: array for name, array in soft.to_arrays().items()},
)
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("jit")
    found = []
    for name, switches in (
        ("on", {}),
        ("off", {"NUMBA_DISABLE_JIT": "1"}),
        ("bounds checked", {"NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(folder)}),
    ):
        out = folder / f"{name}.npz"
        code = PROGRAM.replace("OUT", repr(str(out)))
        subprocess.run([sys.executable, "-W", "error", "-c", code], env=os.environ | switches, check=True)
        found.append(dict(np.load(out)))
    return found


@pytest.mark.parametrize("other", [1, 2], ids=["plain Python", "bounds checked"])
def test_every_way_of_running_the_kernels_gives_the_same_bits(answers, other):
    compiled, found = answers[0], answers[other]
    assert set(compiled) == set(found)
    for name, array in compiled.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)
