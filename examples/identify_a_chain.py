# %% [markdown]
# # Name detections along the chain
#
# Somebody else's network found vertebral bodies and says of each only how cervical, thoracic or lumbar it looks.
# `identify` weighs every way to name the whole chain, and says how sure each name is.

# %%
import numpy as np

from regforest import identify
from regforest.datasets.phantoms.anatomy import sample_spine
from regforest.vertebrae.region_scores import spread_region_scores

truth = ("T9", "T10", "T11", "T12", "L1", "L2", "L3", "L4", "L5")
spine = sample_spine(np.random.default_rng(1), truth)
points_lps_mm = np.array(list(spine.values()))
print(points_lps_mm.round())

# %% [markdown]
# ## Scores of regions become scores of levels
#
# The detector is in doubt at the border between thorax and loin, as detectors are.

# %%
thoracic = np.array([0.97, 0.95, 0.9, 0.6, 0.3, 0.05, 0.03, 0.02, 0.02])
lumbar = 1 - thoracic
scores = spread_region_scores(np.zeros(9), thoracic, lumbar)
found = identify(points_lps_mm, scores)
for name, level, probability in zip(truth, found.levels, found.probabilities, strict=True):
    print(f"{name:>4} named {level}, probability {probability:.2f}")

# %% [markdown]
# ## How sure is that?
#
# The runners-up are whole namings; the chain shifted by one level is always among them.

# %%
print("anchored:", found.anchored, {shift: round(p, 3) for shift, p in found.shift_probability.items()})
for levels, probability in found.alternatives:
    print(f"{probability:.3f}", *levels)

# %% [markdown]
# ## A false detection and a missing body
#
# A rib beside T11 is called `None`, and the gap where L2 was not found stays open.

# %%
rib = points_lps_mm[2] + (45, 20, -5)
seen = [0, 1, 2, 3, 4, 6, 7, 8]
disturbed = identify(
    np.vstack([points_lps_mm[seen], rib]),
    spread_region_scores(np.zeros(9), np.append(thoracic[seen], 0.2), np.append(lumbar[seen], 0.05)),
)
print(disturbed.levels)

# %% [markdown]
# ## A level that you know
#
# A point near its centre is enough, and settles the whole chain.

# %%
anchored = identify(points_lps_mm[2:5], scores[2:5], anchor={"L1": points_lps_mm[4]})
print(anchored.levels, anchored.probabilities.round(3))
