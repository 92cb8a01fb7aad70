# %% [markdown]
# # Label a CT scan
#
# Where are the vertebrae, what are they called, and how sure is that? The scans here are phantoms, made on the spot;
# put your own file into `read_volume` for the real thing.

# %%
from pathlib import Path
from tempfile import TemporaryDirectory

from regforest import VertebraLocalizer, write_landmarks
from regforest.datasets import open_dataset
from regforest.datasets.phantoms.ct import write_ct_phantom
from regforest.evaluation import evaluate_case, summarize
from regforest.report import write_preview
from regforest.vertebrae import VertebraSettings

folder = TemporaryDirectory()
write_ct_phantom(folder.name, n=8, seed=0, matrix=64, jobs=2)
cases = open_dataset(folder.name).cases
print([case.name for case in cases])

# %% [markdown]
# ## A model
#
# A real one is trained on many scans with the default settings; seven scans and the smallest settings take seconds.

# %%
localizer = VertebraLocalizer(VertebraSettings.quick(), seed=0)
localizer.fit((case.load() for case in cases[1:]), n_jobs=2)

# %% [markdown]
# ## The answer
#
# Points are in LPS millimetres, the frame of DICOM and ITK. `uncertain` means: look before you believe the names.

# %%
scan = cases[0].load()
answer = localizer.localize(scan.image, n_jobs=2)
print(answer.status, answer.reason)
for name in answer.landmarks:
    print(f"{name:>4}", answer.landmarks[name].round(1), f"probability {answer.probabilities[name]:.2f}")

# %% [markdown]
# The whole chain may be named one level off; `shift_probability` says how likely that is.

# %%
print({shift: round(p, 3) for shift, p in answer.shift_probability.items()})

# %% [markdown]
# If you know a level, say so: a point somewhere on its body is enough.

# %%
known = scan.landmarks.names[2]
anchored = localizer.localize(scan.image, anchor={known: scan.landmarks[known]}, n_jobs=2)
print(known, "is now", anchored.landmarks[known].round(1))

# %% [markdown]
# ## Right or wrong?
#
# Here the truth is known, so the answer can be judged as in the paper.

# %%
judged = summarize(evaluate_case(anchored.landmarks, scan.landmarks))["all"]
print(f"{judged['identified']} of {judged['annotated']} identified, mean error {judged['mean_mm']:.1f} mm")

# %% [markdown]
# ## Files for 3D Slicer, and a picture

# %%
out = Path(folder.name) / "out"
write_landmarks(anchored.landmarks, out / "scan.mrk.json", scan.image.grid)
write_preview(scan.image, anchored, out / "scan", "scan")
print(sorted(path.name for path in out.iterdir()))
folder.cleanup()
