# %% [markdown]
# # Train on structures of your own
#
# Anything that forms a chain and has masks (or only points): discs, vertebral bodies, other bones. The data lie in a
# *labelled folder*; this one is made of phantoms, with the layout that yours would have.

# %%
import json
from pathlib import Path
from tempfile import TemporaryDirectory

from regforest import DiscLocalizer
from regforest.datasets import open_dataset
from regforest.datasets.phantoms.mr import write_mr_phantom
from regforest.discs import DiscSettings
from regforest.evaluation import evaluate_structures, summarize_structures
from regforest.io import write_label_image

folder = TemporaryDirectory()
write_mr_phantom(Path(folder.name), n=3, seed=0, contrast="t2", layout="labelled-folder", jobs=2)
files = sorted(str(path.relative_to(folder.name)) for path in Path(folder.name).rglob("*.*"))
print(*files, sep="\n")
print(json.loads((Path(folder.name) / "labels.json").read_text()))

# %% [markdown]
# ## Look at the data first
#
# `regforest inspect DIR` does the same from the command line, with remarks about what looks wrong.

# %%
dataset = open_dataset(folder.name)
for case in dataset.cases:
    scan = case.load()
    grid = scan.image.grid
    print(case.name, case.patient, grid.size_xyz, grid.spacing_mm.round(2), *scan.landmarks.names)

# %% [markdown]
# ## Train on one patient, keep the other
#
# Scans of one patient must not stand on both sides. Few patches, a coarse grid and one pass make this quick; leave
# the settings out for real work.

# %%
quick = DiscSettings(
    turns_deg=(0.0,), scales=(1.0,), coarse_grid_mm=14, coarse_patches=400, fine_patches=100, label_patches=300,
    label_spacing_mm=2, passes=1,
)  # fmt: skip
held_out = dataset.cases[1]
training = [case for case in dataset.cases if case.patient != held_out.patient]
localizer = DiscLocalizer(quick, seed=0).fit((case.load() for case in training), n_jobs=2)
print(localizer.names_, localizer.channels_)

# %% [markdown]
# ## Apply and judge

# %%
scan = held_out.load()
answer, labels = localizer.apply(scan.channels, n_jobs=2)
print(answer.status, answer.reason, *answer.landmarks.names)
result = summarize_structures(evaluate_structures(scan, answer.landmarks, labels, localizer.label_names))
print(f"distance {result['localization_mm']['mean']:.2f} mm, Dice {result['dice']['mean']:.3f}")

# %% [markdown]
# ## Keep the model, and write the label image on the grid of the input

# %%
out = Path(folder.name) / "out"
out.mkdir()
localizer.save(out / "own.rfm")
image_file = next(iter(held_out.image_files.values()))
write_label_image(labels, localizer.label_names, out / "labels.nii.gz", like=image_file)
print(sorted(path.name for path in out.iterdir()))
folder.cleanup()
