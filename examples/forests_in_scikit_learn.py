# %% [markdown]
# # The forests as scikit-learn estimators
#
# `ForestClassifier` and `ForestRegressor` know nothing of spines: they stand wherever a random forest of scikit-learn
# does, train several times as fast, and take soft labels. A forest on box features predicts a whole volume at once.

# %%
import numpy as np
from sklearn.datasets import make_classification, make_regression
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from regforest import BoxFeatures, ForestClassifier, ForestRegressor
from regforest.forest import Forest, predict_volume

X, y = make_classification(1500, n_features=20, n_informative=8, n_classes=3, random_state=0)

# %% [markdown]
# ## In pipelines, cross-validation and searches

# %%
pipeline = make_pipeline(StandardScaler(), ForestClassifier(32, random_state=0, n_jobs=2))
print("accuracy", cross_val_score(pipeline, X, y, cv=4).round(3))

search = GridSearchCV(ForestClassifier(16, random_state=0), {"min_samples_leaf": [1, 4, 16]}, cv=3)
print("best", search.fit(X, y).best_params_)

# %% [markdown]
# Out-of-bag scores and importances need no data held back.

# %%
forest = ForestClassifier(64, oob_score=True, random_state=0, n_jobs=2).fit(X, y)
print("out of bag", round(forest.oob_score_, 3), "best features", forest.feature_importances_.argsort()[-3:])

# %% [markdown]
# ## Soft labels
#
# Where the truth itself is a probability, give the probabilities: they enter the split criterion.

# %%
soft = np.full((len(y), 3), 0.05) + 0.85 * np.eye(3)[y]
print(ForestClassifier(16, random_state=0).fit(X, soft).predict_proba(X[:2]).round(2))

# %% [markdown]
# ## Several targets

# %%
rows, targets = make_regression(800, 12, n_targets=3, random_state=0)
regressor = ForestRegressor(32, random_state=0, n_jobs=2).fit(rows, targets)
print("R2", round(regressor.score(rows, targets), 2), "shape", regressor.predict(rows[:5]).shape)

# %% [markdown]
# ## Forests that scikit-learn trained
#
# They predict through the same fast path, with the same probabilities.

# %%
theirs = RandomForestClassifier(20, random_state=0).fit(X, y)
ours = Forest.from_sklearn(theirs)
print("largest difference", np.abs(ours.predict(X.astype(np.float32)) - theirs.predict_proba(X)).max())

# %% [markdown]
# ## A whole volume
#
# A bright ball in noise: features at some voxels, a forest, and then the probability everywhere, without a row of
# features for each voxel.

# %%
rng = np.random.default_rng(0)
zyx = np.indices((48, 48, 48))
ball = ((zyx - 24) ** 2).sum(axis=0) < 12**2
image = (rng.normal(0, 300, ball.shape) + 400 * ball).astype(np.int16)

boxes = BoxFeatures.random(64, seed=0, max_offset_mm=6, size_range_mm=(1, 9))
index_zyx = rng.integers(48, size=(3000, 3))
features = boxes.evaluate([image], (1, 1, 1), index_zyx)
finder = ForestClassifier(16, min_samples_leaf=4, random_state=0, n_jobs=2).fit(features, ball[tuple(index_zyx.T)])
probability = predict_volume(finder.forest_, boxes, [image], (1, 1, 1), n_jobs=2)[1]
found = probability > 0.5
print("Dice", round(2 * (found & ball).sum() / (found.sum() + ball.sum()), 3))
