import io
import json
import os
import subprocess
import sys

import nibabel
import numpy as np
import pytest

from regforest._memory import MemoryNeed, Stage, machine_mb
from regforest.cli import main
from regforest.cli._batch import counted
from regforest.cli._console import start
from regforest.cli._forecast import will_label, will_make
from regforest.cli._inputs import cases_of, images_of
from regforest.datasets.labelled_folder import write_labelled_folder
from regforest.errors import DataError
from regforest.io import (
    folder_lock,
    read_label_names,
    read_landmarks,
    read_volume,
    write_label_image,
    write_landmarks,
    write_volume,
)
from regforest.spatial import Grid, Landmarks, Localization, Volume

GRID = Grid.from_parts((30, 20, 20), (2, 2, 3), (-10, 20, 300), [[0, 1, 0], [1, 0, 0], [0, 0, 1]])
IMAGE = Volume(np.random.default_rng(0).integers(0, 100, GRID.shape_zyx).astype(np.int16), GRID)
FOUND = Landmarks({"L1": (0, 30, 360), "L2": (1, 33, 328)}, {"L1": 0.5, "L2": 0.25})
COMMANDS = ("label", "discs", "train", "evaluate", "inspect", "convert", "phantom", "info")


def run(*arguments):
    """Exit status of a command, whether it returns or leaves."""
    try:
        return main([str(argument) for argument in arguments])
    except SystemExit as left:
        return left.code


class FakeLocalizer:
    """Finds the same in every image, except in one of a single value."""

    label_names = {1: "L1/L2"}  # noqa: RUF012
    seen = []  # noqa: RUF012

    @classmethod
    def load(cls, path):
        return cls()

    def localize(self, image, anchor=None, n_jobs=1, max_memory_mb=None):
        FakeLocalizer.seen.append((image, anchor, n_jobs))
        volume = image if isinstance(image, Volume) else next(iter(image.values()))
        if volume.voxels.max() == 0:
            return Localization(Landmarks({}), "empty", "nothing found")
        if volume.voxels.max() == 1:
            raise DataError("this image cannot be labelled")
        notes = ("missing channels: wat (estimated from fat)",) if isinstance(image, dict) and len(image) == 1 else ()
        return Localization(FOUND, "ok", "", True, {-1: 0.1, 0: 0.9, 1: 0.0}, {"L1": 0.9}, notes)

    def memory_need(self, grid, voxel_bytes, n_jobs=1):
        return MemoryNeed(classifying=Stage(10.0, work_mb=100.0, slab_mb=50.0))

    def apply(self, channels, anchor=None, n_jobs=1, max_memory_mb=None):
        grid = (channels if isinstance(channels, Volume) else next(iter(channels.values()))).grid
        return self.localize(channels, anchor, n_jobs), Volume(np.ones(grid.shape_zyx, np.uint8), grid)


@pytest.fixture
def model(tmp_path, monkeypatch):
    FakeLocalizer.seen = []
    monkeypatch.setattr("regforest.vertebrae.VertebraLocalizer", FakeLocalizer)
    monkeypatch.setattr("regforest.discs.DiscLocalizer", FakeLocalizer)
    path = tmp_path / "fake.rfm"
    path.write_text("model")
    return path


def images(folder, *names, volume=IMAGE):
    for name in names:
        write_volume(volume, folder / name)
    return [folder / name for name in names]


# --- help and wrong usage


def modules_of(*arguments):
    """Modules that a command has imported when it ends, and what it printed."""
    code = (
        "import atexit, sys; from regforest.cli import main;"
        "atexit.register(lambda: print(*sys.modules, file=sys.stderr)); sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    return set(done.stderr.split()), done.stdout


@pytest.mark.parametrize("package", ["vertebrae", "discs"])
def test_a_model_is_read_without_scikit_learn_which_takes_a_second_to_import(package):
    model = {"vertebrae": "ct-phantom", "discs": "mr-phantom"}[package]
    localizer = {"vertebrae": "VertebraLocalizer", "discs": "DiscLocalizer"}[package]
    code = (
        f"import sys; from regforest.{package} import {localizer}; from regforest.models import model_file;"
        f"{localizer}.load(model_file('{model}')); sys.exit('sklearn' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    "arguments",
    [["--help"], *([command, "--help"] for command in COMMANDS), ["info", "--json"], ["--print-completion", "bash"]],
    ids=" ".join,
)
def test_help_info_and_completion_load_no_heavy_library(arguments):
    loaded, _ = modules_of(*arguments)
    heavy = {"numba", "scipy", "sklearn", "SimpleITK", "nibabel", "matplotlib", "joblib", "tqdm"}
    assert not loaded & heavy
    assert arguments == ["info", "--json"] or "numpy" not in loaded


def test_help_names_every_command(capsys):
    assert run("--help") == 0
    out = capsys.readouterr().out
    assert all(f"    {command} " in out for command in COMMANDS)


def test_without_a_command_the_help_is_shown(capsys):
    assert run() == 2
    assert "commands:" in capsys.readouterr().err


def test_the_bash_completion_knows_commands_options_and_choices(tmp_path, capsys):
    assert run("--print-completion", "bash") == 0
    script = tmp_path / "regforest.bash"
    script.write_text(capsys.readouterr().out)
    ask = 'COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _shtab_regforest; echo "${COMPREPLY[@]}"'

    def completed(*words):
        command = ["bash", "-c", f"shopt -s extglob; source {script}; {ask}", "bash", "regforest", *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()

    assert completed("la") == ["label"]
    assert completed("label", "--mo") == ["--model"]
    assert completed("train", "vertebrae", "--layout", "sp") == ["spine-ct"]


@pytest.mark.parametrize("shell", ["zsh", "tcsh"])
def test_completion_comes_for_other_shells_too(shell, capsys):
    assert run("--print-completion", shell) == 0
    assert "regforest" in capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_ends_its_help_with_an_example(command, capsys):
    assert run(command, "--help") == 0
    out = capsys.readouterr().out
    assert f"regforest {command}" in out.rpartition("example:")[2]


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["lable", "a.nii"], "did you mean 'label'"),
        (["label", "a.nii", "-o", "out", "--modle", "x"], "did you mean '--model'"),
        (["label", "a.nii", "--ouput", "x"], "did you mean '--out'"),
        (["-q", "label", "a.nii", "-o", "out"], "-q goes behind the command"),
        (["label", "-q", "-v", "a.nii", "-o", "out"], "not allowed with"),
        (["train", "vertebrae", "--data", ".", "-o", "m.rfm", "--layout", "spinect"], "did you mean 'spine-ct'"),
        (["phantom", "mr", "-n", "2", "-o", "out", "--contrast", "t3"], "did you mean 't"),
        (["evaluate", "--predicted", "a", "--reference", "b", "--definition", "closest-annotations"],
         "did you mean 'closest-annotation'"),
        (["label", "a.nii", "-o", "out", "--anchor", "L5:1,2,3"], "LEVEL=x,y,z"),
        (["label", "a.nii", "-o", "out", "--anchor", "L55=1,2,3"], "did you mean 'L5'"),
        (["label", "a.nii", "b.nii", "-o", "out", "--anchor", "L5=1,2,3"], "one by one"),
        (["label", "a.nii", "-o", "out", "--model", "gone.rfm"], "regforest train vertebrae"),
        (["discs", "a.nii", "-o", "out", "--model", "gone.rfm"], "regforest train discs"),
        (["phantom", "ct", "-o", "out"], "-n N"),
        (["phantom", "ct", "-o", "out", "-n", "0"], "at least 1"),
        (["phantom", "ct", "-o", "out", "-n", "2", "--seed", "-1"], "at least 0"),
        (["train", "discs", "--data", ".", "-o", "m.rfm", "--seed", "-1"], "at least 0"),
        (["phantom", "ct", "-o", "out", "-n", "2", "--contrast", "t2"], "--contrast"),
        (["phantom", "ct", "-o", "out", "-n", "2", "--layout", "ivdm3seg"], "spine-ct and labelled-folder"),
        (["phantom", "mr", "-o", "out", "-n", "2", "--contrast", "t1", "--layout", "ivdm3seg"], "labelled-folder"),
        (["train", "discs", "--data", ".", "-o", "m.rfm", "--quick"], "--quick"),
    ],
)  # fmt: skip
def test_wrong_usage_exits_2_and_says_what_is_right(arguments, hint, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(*arguments) == 2
    captured = capsys.readouterr()
    assert hint in captured.err
    assert captured.out == ""


def test_info_tells_versions_layouts_and_levels(capsys):
    assert run("info", "--json") == 0
    content = json.loads(capsys.readouterr().out)
    assert {"version", "packages", "models", "layouts", "levels"} <= content.keys()
    assert {"name": "T13", "number": 28, "region": "thoracic"} in content["levels"]
    assert "spine-ct" in content["layouts"]
    assert run("info") == 0
    assert "T13" in capsys.readouterr().out


# --- label and discs


def test_label_writes_three_files_for_each_image_that_agree(tmp_path, model, capsys):
    paths = images(tmp_path / "in", "a.nii.gz", "b.mha")
    assert run("label", *paths, "-o", tmp_path / "out", "--model", model, "--jobs", 3) == 0
    names = sorted(path.name for path in (tmp_path / "out").glob("[!.]*"))
    assert names == [f"{stem}{suffix}" for stem in "ab" for suffix in (".json", ".lml", ".mrk.json")]
    for stem in "ab":
        for suffix in (".json", ".lml", ".mrk.json"):
            found = read_landmarks(tmp_path / "out" / f"{stem}{suffix}", GRID)
            np.testing.assert_allclose(found.points, FOUND.points, atol=1e-3)
    content = json.loads((tmp_path / "out" / "a.json").read_text())
    made_with = content.pop("made_with")
    assert made_with["anchor"] == {}
    assert len(made_with["model"]) == 16
    assert content == {
        "image": str(paths[0]), "frame": "LPS mm", "status": "ok", "reason": "", "notes": [], "anchored": True,
        "shift_probability": {"-1": 0.1, "0": 0.9, "1": 0.0},
        "levels": [{"level": "L1", "point": [0, 30, 360], "score": 0.5, "probability": 0.9},
                   {"level": "L2", "point": [1, 33, 328], "score": 0.25, "probability": None}],
    }  # fmt: skip
    assert capsys.readouterr().out.splitlines() == ["a: ok: L1 L2", "b: ok: L1 L2"]
    assert {jobs for _, _, jobs in FakeLocalizer.seen} == {3}


def test_one_bad_image_is_named_and_the_others_go_on(tmp_path, model, capsys):
    good, worse = (
        images(tmp_path, "good.nii"),
        images(tmp_path, "worse.nii", volume=Volume(IMAGE.voxels * 0 + 1, GRID)),
    )
    (tmp_path / "bad.nii").write_bytes(b"no image" * 100)
    status = run("label", tmp_path / "bad.nii", tmp_path / "gone.nii", *worse, *good, "-o", tmp_path / "out",
                 "--model", model, "--json")  # fmt: skip
    assert status == 1
    captured = capsys.readouterr()
    content = json.loads(captured.out)
    assert [result["image"] for result in content["results"]] == [str(good[0])]
    assert [os.path.basename(case["image"]) for case in content["failed"]] == ["bad.nii", "gone.nii", "worse.nii"]
    for name in ("bad.nii", "gone.nii", "worse.nii: this image cannot be labelled"):
        assert name in captured.err
    assert {path.name.partition(".")[0] for path in (tmp_path / "out").glob("[!.]*")} == {"good"}


def test_an_empty_result_is_a_result(tmp_path, model, capsys):
    path = images(tmp_path, "a.nii", volume=Volume(IMAGE.voxels * 0, GRID))
    assert run("label", *path, "-o", tmp_path / "out", "--model", model) == 0
    assert json.loads((tmp_path / "out" / "a.json").read_text())["status"] == "empty"
    assert len(read_landmarks(tmp_path / "out" / "a.lml")) == 0
    assert capsys.readouterr().out == "a: empty (nothing found): none\n"


def test_nothing_is_overwritten_and_resume_goes_on_where_it_ended(tmp_path, model, capsys):
    paths = images(tmp_path, "a.nii", "b.nii")
    out = tmp_path / "out"
    assert run("label", paths[0], "-o", out, "--model", model) == 0
    stamp = (out / "a.lml").stat().st_mtime_ns
    assert run("label", *paths, "-o", out, "--model", model) == 2
    assert "--resume" in capsys.readouterr().err
    assert not (out / "b.json").exists()
    FakeLocalizer.seen.clear()
    assert run("label", *paths, "-o", out, "--model", model, "--resume", "--json") == 0
    assert len(FakeLocalizer.seen) == 1
    assert (out / "a.lml").stat().st_mtime_ns == stamp
    assert [result["status"] for result in json.loads(capsys.readouterr().out)["results"]] == ["ok", "ok"]


def test_results_of_another_model_or_anchor_are_not_mixed(tmp_path, model, capsys):
    first, second = images(tmp_path, "a.nii", "b.nii")
    out = tmp_path / "out"
    run("label", first, "-o", out, "--model", model)
    assert run("label", first, "-o", out, "--model", model, "--resume", "--anchor", "L1=0,30,360") == 2
    assert "name a new folder" in capsys.readouterr().err
    model.write_text("another model")
    assert run("label", first, second, "-o", out, "--model", model, "--resume") == 2
    assert "name a new folder" in capsys.readouterr().err
    assert not (out / "b.json").exists()


@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_resume_does_a_case_again_whose_results_are_incomplete(tmp_path, model, damage):
    (path,) = images(tmp_path, "a.nii")
    out = tmp_path / "out"
    run("label", path, "-o", out, "--model", model)
    if damage == "cut":
        (out / "a.json").write_text((out / "a.json").read_text()[:50])
    else:
        (out / "a.mrk.json").unlink()
    assert run("label", path, "-o", out, "--model", model, "--resume") == 0
    assert len(FakeLocalizer.seen) == 2
    assert json.loads((out / "a.json").read_text())["status"] == "ok"
    assert (out / "a.mrk.json").exists()


def test_anchors_reach_the_localizer_and_must_lie_in_the_image(tmp_path, model, capsys):
    (path,) = images(tmp_path, "a.nii")
    assert run("label", path, "-o", tmp_path / "1", "--model", model, "--anchor", "l1=0,30,360") == 0
    assert FakeLocalizer.seen[-1][1] == {"L1": (0.0, 30.0, 360.0)}
    assert run("label", path, "-o", tmp_path / "2", "--model", model, "--anchor", "L1=0,30,999") == 1
    assert "outside" in capsys.readouterr().err


@pytest.mark.parametrize("more", [[], ["--segment"]])
def test_discs_takes_anchors_and_jobs_too(tmp_path, model, more):
    (path,) = images(tmp_path, "a.nii")
    assert run(
        "discs", path, "-o", tmp_path / "1", "--model", model, "--anchor", "l4/l5=0,30,360", "--jobs", "2", *more
    ) == 0  # fmt: skip
    assert FakeLocalizer.seen[-1][1:] == ({"L4/L5": (0.0, 30.0, 360.0)}, 2)
    both = ["discs", path, tmp_path / "b.nii", "-o", tmp_path / "2", "--model", model, "--anchor", "L4/L5=0,30,360"]
    images(tmp_path, "b.nii")
    assert run(*both) == 2


def test_an_output_place_that_is_a_file_is_refused_before_any_work(tmp_path, model, capsys):
    (path,) = images(tmp_path, "a.nii")
    (tmp_path / "out").write_text("x")
    assert run("label", path, "-o", tmp_path / "out", "--model", model) == 3
    assert str(tmp_path / "out") in capsys.readouterr().err
    assert FakeLocalizer.seen == []


def test_a_preview_is_a_picture(tmp_path, model):
    (path,) = images(tmp_path, "a.nii")
    assert run("label", path, "-o", tmp_path / "out", "--model", model, "--preview") == 0
    assert (tmp_path / "out" / "a.png").read_bytes().startswith(b"\x89PNG")
    assert "data:image/webp" in (tmp_path / "out" / "a.html").read_text()


def test_a_preview_of_a_segmentation_shows_its_outlines(tmp_path, model):
    (path,) = images(tmp_path, "a.nii")
    assert run("discs", path, "-o", tmp_path / "out", "--model", model, "--segment", "--preview") == 0
    page = (tmp_path / "out" / "a.html").read_text()
    assert '<path d="M' in page


def test_discs_segments_on_the_grid_of_the_image_with_names(tmp_path, model):
    image = nibabel.Nifti1Image(IMAGE.voxels.T, np.diag([-2, -2, 3, 1]))
    image.set_sform(np.diag([-2, -2, 3, 1]), 4)
    image.set_qform(None, 0)
    nibabel.save(image, tmp_path / "a.nii.gz")
    assert run("discs", tmp_path / "a.nii.gz", "-o", tmp_path / "out", "--model", model, "--segment") == 0
    header = nibabel.load(tmp_path / "out" / "a_seg.nii.gz").header
    assert (header["sform_code"], header["qform_code"]) == (4, 0)
    assert read_volume(tmp_path / "out" / "a_seg.nii.gz").grid == read_volume(tmp_path / "a.nii.gz").grid
    assert '"L1/L2"' in (tmp_path / "out" / "a_seg.itksnap.txt").read_text()
    assert "L1/L2" in (tmp_path / "out" / "a_seg.ctbl").read_text()
    assert read_label_names(tmp_path / "out" / "a_seg.nii.gz") == {1: "L1/L2"}


def test_channels_of_one_folder_are_one_case_and_a_folder_stands_for_its_images(tmp_path, model):
    images(tmp_path / "p1", "image_fat.nii.gz", "image_wat.nii.gz", "labels.nii.gz")
    images(tmp_path / "p2", "image.mha")
    files = sorted((tmp_path / "p1").glob("image_*"))
    assert run("discs", *files, tmp_path / "p2", "-o", tmp_path / "out", "--model", model) == 0
    assert sorted(path.name for path in (tmp_path / "out").glob("*.lml")) == ["p1.lml", "p2.lml"]
    assert list(FakeLocalizer.seen[0][0]) == ["fat", "wat"]
    assert isinstance(FakeLocalizer.seen[1][0], Volume)


def test_what_the_localizer_notes_is_said_and_stands_in_the_result(tmp_path, model, capsys):
    images(tmp_path / "p1", "image_fat.nii.gz")
    assert run("discs", tmp_path / "p1" / "image_fat.nii.gz", "-o", tmp_path / "out", "--model", model) == 0
    note = "missing channels: wat (estimated from fat)"
    assert note in capsys.readouterr().err
    assert json.loads((tmp_path / "out" / "p1.json").read_text())["notes"] == [note]


def test_channels_on_different_grids_are_refused_by_name(tmp_path, model, capsys):
    images(tmp_path / "p1", "image_fat.nii.gz")
    images(tmp_path / "p1", "image_wat.nii.gz", volume=Volume(IMAGE.voxels, Grid.from_parts(GRID.shape_zyx)))
    assert run("discs", tmp_path / "p1", "-o", tmp_path / "out", "--model", model) == 1
    assert "image_wat.nii.gz" in capsys.readouterr().err


def test_equal_stems_in_one_run_get_different_names(tmp_path):
    paths = [tmp_path / name for name in ("x/a.nii", "y/a.nii", "y/a.mha", "b.nii", "x/image.nii", "y/image.nii")]
    stems = [case.stem for case in images_of(paths)]
    assert len(set(stems)) == len(stems)
    assert (stems[0], stems[3], stems[4:]) == ("x_a", "b", ["x", "y"])
    assert [case.stem for case in images_of([tmp_path / "x" / "image.nii"])] == ["image"]


def test_dixon_files_of_ivdm3seg_are_grouped_by_scan(tmp_path):
    paths = [tmp_path / f"{scan}_{channel}.nii" for scan in ("01", "02") for channel in ("fat", "inn", "opp", "wat")]
    cases = cases_of(paths)
    assert [(case.stem, list(case.files)) for case in cases] == [
        ("01", ["fat", "inn", "opp", "wat"]), ("02", ["fat", "inn", "opp", "wat"]),
    ]  # fmt: skip


# --- models by name


@pytest.fixture
def built_in(tmp_path, monkeypatch):
    monkeypatch.setattr("regforest.models._FOLDER", tmp_path / "models")
    return tmp_path / "models"


@pytest.mark.parametrize(("command", "name"), [("label", "ct-phantom"), ("discs", "mr-phantom")])
def test_the_built_in_model_is_the_default(tmp_path, model, built_in, command, name, capsys):
    (path,) = images(tmp_path, "a.nii")
    assert run(command, path, "-o", tmp_path / "1") == 2  # until its file is there
    assert f"no built-in model '{name}'" in capsys.readouterr().err
    assert not (tmp_path / "1").exists()
    built_in.mkdir()
    (built_in / f"{name}.rfm").write_text("model")
    assert run(command, path, "-o", tmp_path / "1") == 0
    assert run(command, path, "-o", tmp_path / "2", "--model", name) == 0
    assert run(command, path, "-o", tmp_path / "3", "--model", name.replace("a", "")) == 2
    assert f"did you mean '{name}'" in capsys.readouterr().err


# --- quiet, verbose, forecast, progress


def test_a_model_for_something_else_is_refused_with_advice(tmp_path, capsys):
    (path,) = images(tmp_path, "a.nii")
    assert run("discs", path, "-o", tmp_path / "out", "--model", "ct-phantom") == 3
    assert "expected a model of kind 'discs', found 'vertebrae'; name one" in capsys.readouterr().err


def test_an_image_that_cannot_be_read_is_named_once(tmp_path, model, capsys):
    assert run("label", tmp_path / "gone.nii", "-o", tmp_path / "out", "--model", model) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("failed: ")


def test_quiet_leaves_results_and_failures_alone(tmp_path, model, capsys):
    (path,) = images(tmp_path, "a.nii")
    assert run("label", path, tmp_path / "gone.nii", "-o", tmp_path / "out", "--model", model, "--quiet") == 1
    captured = capsys.readouterr()
    assert captured.out == "a: ok: L1 L2\n"
    (line,) = captured.err.splitlines()
    assert line.startswith("failed: ")


def test_verbose_tells_the_model_and_what_each_image_took(tmp_path, model, capsys):
    (path,) = images(tmp_path, "a.nii")
    assert run("label", path, "-o", tmp_path / "1", "--model", model) == 0
    assert capsys.readouterr().err == f"written: {tmp_path / '1'}\n"
    assert run("label", path, "-o", tmp_path / "2", "--model", model, "-v") == 0
    log = capsys.readouterr().err
    assert str(model) in log
    assert "forecast: 1 cases" in log
    assert "20 x 20 x 30 voxels" in log


def test_an_unforeseen_error_shows_where_it_came_from_if_verbose(tmp_path, model, monkeypatch, capsys):
    (path,) = images(tmp_path, "a.nii")
    monkeypatch.setattr(FakeLocalizer, "localize", lambda *_, **__: 1 / 0)
    assert run("label", path, "-o", tmp_path / "out", "--model", model) == 1
    assert "Traceback" not in capsys.readouterr().err
    assert run("label", path, "-o", tmp_path / "out", "--model", model, "-v") == 1
    assert "Traceback" in capsys.readouterr().err


def test_the_forecast_grows_with_cases_voxels_and_fewer_threads(tmp_path):
    paths = images(tmp_path, "a.nii", "b.nii")
    large = images(tmp_path, "c.nii", volume=Volume(np.zeros((100, 100, 100), np.int16), Grid.from_parts((100,) * 3)))
    one, two = (will_label(images_of(paths[:n]), "label", 2) for n in (1, 2))
    assert two.seconds > one.seconds
    assert will_label(images_of(large), "label", 2).seconds > one.seconds
    assert will_label(images_of(large), "label", 2).memory_mb > one.memory_mb
    assert will_label(images_of(paths), "label", 1).seconds > two.seconds
    assert will_label(images_of([tmp_path / "gone.nii"]), "label", 1).seconds > 0


def test_the_forecast_of_phantoms_grows_with_scans_voxels_and_fewer_processes():
    usual = will_make("ct", 4, 2)
    assert will_make("ct", 8, 2).seconds > usual.seconds
    assert will_make("ct", 4, 2, 16).seconds > 4 * usual.seconds
    assert will_make("ct", 4, 1).seconds > usual.seconds
    assert will_make("ct", 4, 4).memory_mb == 2 * usual.memory_mb
    assert {will_make(what, 1, 1).cases for what in ("mr", "lumbar-mri")} == {1}


def test_on_a_terminal_the_bar_shows_stage_rate_and_time_left(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr("sys.stderr", Terminal())
    start(quiet=False, verbose=False)
    show = counted("grow trees", "tree")
    show(1, 2)
    show(2, 2)
    assert "grow trees: 100%" in sys.stderr.getvalue()
    assert "2/2" in sys.stderr.getvalue()
    assert "tree/s" in sys.stderr.getvalue()
    monkeypatch.setattr("sys.stderr", Terminal())
    start(quiet=True, verbose=False)
    counted("grow trees", "tree")(1, 2)
    assert sys.stderr.getvalue() == ""


def test_compiling_is_said_once():
    code = (
        "import numba, sys; from regforest.cli import _console; _console.start(False, False);"
        "_console.announce_compilation();"
        "[numba.njit(lambda x, n=n: x + n)(1) for n in range(3)]"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    (line,) = done.stderr.splitlines()
    assert "compiling for this machine" in line


# --- evaluate


def points_folder(root, suffix, cases, name="{}"):
    for case, points in cases.items():
        (root / name.format(case)).parent.mkdir(parents=True, exist_ok=True)
        write_landmarks(
            Landmarks(points, frame="grid" if suffix == ".lml" else "LPS"), root / (name.format(case) + suffix)
        )


# by hand: 100: L1 3 mm off, L2 4 mm off, L3 missed, T12 a false alarm; 200: L1 30 mm off and beside L2; 300: no file
TRUTH = {
    "100": {"L1": (0, 0, 90), "L2": (0, 0, 60), "L3": (0, 0, 30)},
    "200": {"L1": (0, 0, 90), "L2": (0, 0, 60)},
    "300": {"C1": (0, 0, 0)},
}
RESULT = {
    "100": {"L1": (3, 0, 90), "L2": (0, 4, 60), "T12": (0, 0, 120)},
    "200": {"L1": (0, 0, 60)},
    "999": {"L1": (0, 0, 0)},
}


@pytest.mark.parametrize("suffix", [".lml", ".mrk.json", ".csv"])
def test_evaluate_gives_the_numbers_worked_out_by_hand(tmp_path, capsys, suffix):
    points_folder(tmp_path / "truth", suffix, TRUTH, name="patient1/{0}/{0}")
    points_folder(tmp_path / "found", suffix, RESULT, name="{}_centroids_conf")
    status = run("evaluate", "--predicted", tmp_path / "found", "--reference", tmp_path / "truth", "--json")
    assert status == 0
    captured = capsys.readouterr()
    content = json.loads(captured.out)
    assert (content["definition"], content["cases"]) == ("closest-annotation", 3)
    row = content["regions"]["all"]
    assert (row["annotated"], row["predicted"], row["identified"]) == (6, 4, 2)
    assert (row["missed"], row["false_alarms"]) == (3, 1)
    assert row["identification_rate"] == pytest.approx(2 / 6)
    assert row["mean_mm"] == pytest.approx((3 + 4 + 30) / 3)
    assert row["median_mm"] == pytest.approx(4)
    assert row["std_mm"] == pytest.approx(np.std([3, 4, 30]))
    assert content["regions"]["cervical"]["identification_rate"] == 0
    assert content["regions"]["sacral"]["mean_mm"] is None
    assert "300: no prediction, counts as missed" in captured.err
    assert "999: no reference" in captured.err


def test_the_second_definition_asks_the_other_way_round(tmp_path, capsys):
    # the prediction of L1 lies beside L2's annotation, that of L2 nearer still
    points_folder(tmp_path / "truth", ".lml", {"1": {"L1": (0, 0, 30), "L2": (0, 0, 20)}})
    points_folder(tmp_path / "found", ".lml", {"1": {"L1": (0, 0, 24), "L2": (0, 0, 19)}})
    identified = {}
    for definition in ("closest-annotation", "closest-prediction"):
        run("evaluate", "--predicted", tmp_path / "found", "--reference", tmp_path / "truth", "--json",
            "--definition", definition)  # fmt: skip
        content = json.loads(capsys.readouterr().out)
        assert content["definition"] == definition
        identified[definition] = content["regions"]["all"]["identified"]
    assert identified == {"closest-annotation": 1, "closest-prediction": 2}


def test_evaluate_prints_a_table_for_people(tmp_path, capsys):
    points_folder(tmp_path / "truth", ".lml", TRUTH)
    points_folder(tmp_path / "found", ".lml", RESULT)
    assert run("evaluate", "--predicted", tmp_path / "found", "--reference", tmp_path / "truth") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "3 cases, identified: closest-annotation"
    assert lines[2].split() == ["all", "6", "4.0", "12.3", "12.5", "33.3", "%", "3", "1"]


def test_results_of_other_methods_in_folders_below_do_not_count(tmp_path, capsys):
    points_folder(tmp_path / "truth", ".lml", TRUTH)
    points_folder(tmp_path / "found", ".lml", TRUTH)
    points_folder(tmp_path / "found" / "another", ".lml", RESULT)
    assert run("evaluate", "--predicted", tmp_path / "found", "--reference", tmp_path / "truth", "--json") == 0
    assert json.loads(capsys.readouterr().out)["regions"]["all"]["identification_rate"] == 1


def test_landmarks_of_different_frames_are_refused(tmp_path, capsys):
    points_folder(tmp_path / "truth", ".lml", TRUTH)
    points_folder(tmp_path / "found", ".csv", RESULT)
    assert run("evaluate", "--predicted", tmp_path / "found", "--reference", tmp_path / "truth") == 3
    captured = capsys.readouterr()
    assert "100.lml is in grid millimetres" in captured.err
    assert captured.out == ""


def test_folders_without_a_common_case_or_anything_are_refused(tmp_path, capsys):
    points_folder(tmp_path / "truth", ".lml", TRUTH)
    points_folder(tmp_path / "found", ".lml", {"7": {"L1": (0, 0, 0)}})
    assert run("evaluate", "--predicted", tmp_path / "found", "--reference", tmp_path / "truth") == 3
    assert "found other cases (7)" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    for folder in ("empty", "missing"):
        assert run("evaluate", "--predicted", tmp_path / folder, "--reference", tmp_path / "truth") == 3
        assert folder in capsys.readouterr().err


def test_a_damaged_file_fails_its_case_alone(tmp_path, capsys):
    points_folder(tmp_path / "truth", ".lml", TRUTH)
    points_folder(tmp_path / "found", ".lml", RESULT)
    (tmp_path / "found" / "200.lml").write_text("id\tname\tx\ty\tz\n10\tL1\t1\t2\tx\n")
    assert run("evaluate", "--predicted", tmp_path / "found", "--reference", tmp_path / "truth", "--json") == 1
    captured = capsys.readouterr()
    assert "200.lml" in captured.err
    assert json.loads(captured.out)["cases"] == 2


def box(start, size=4):
    voxels = np.zeros(GRID.shape_zyx, np.uint8)
    for value, z in enumerate(start, start=1):
        voxels[z : z + size, 8:12, 8:12] = value
    return Volume(voxels, GRID)


def test_label_images_are_compared_structure_by_structure(tmp_path, capsys):
    names = {1: "L1/L2", 2: "L2/L3"}
    write_volume(box([4, 14]), tmp_path / "truth" / "a" / "labels.nii.gz")
    (tmp_path / "truth" / "labels.json").write_text(json.dumps(names))
    write_label_image(box([5, 14]), names, tmp_path / "found" / "a_seg.nii.gz")
    arguments = ("evaluate", "--predicted", tmp_path / "found", "--reference", tmp_path / "truth")
    assert run(*arguments, "--json") == 0
    content = json.loads(capsys.readouterr().out)
    assert content["structures"]["L1/L2"]["dice"]["mean"] == pytest.approx(3 / 4)
    assert content["structures"]["L2/L3"]["dice"]["mean"] == pytest.approx(1)
    assert content["localization_mm"]["max"] == pytest.approx(3)  # one voxel of 3 mm along z
    assert content["regions"]["all"]["identified"] == 2
    assert run(*arguments) == 0
    assert "L1/L2" in capsys.readouterr().out


def test_options_offer_what_the_package_knows(capsys):
    # the parsers list names by hand, because importing the package's modules would slow every --help
    from regforest.datasets import LAYOUTS
    from regforest.evaluation import DEFINITIONS

    for command, names in (("inspect", LAYOUTS), ("train", LAYOUTS), ("evaluate", DEFINITIONS)):
        assert run(command, "--help") == 0
        shown = "".join(capsys.readouterr().out.split())
        options = [f"{{{','.join(given)}}}" for given in (names, ("auto", *names))]
        assert any(option in shown for option in options), (command, names)


def test_evaluate_reads_labels_json_as_the_labelled_folder_does(tmp_path, capsys):
    names = {1: "L1/L2", 2: "L2/L3"}
    write_volume(box([4, 14]), tmp_path / "truth" / "a" / "labels.nii.gz")
    write_label_image(box([4, 14]), names, tmp_path / "found" / "a_seg.nii.gz")
    arguments = ("evaluate", "--predicted", tmp_path / "found", "--reference", tmp_path / "truth", "--json")
    (tmp_path / "truth" / "labels.json").write_text(json.dumps({"0": "background", **names}))
    assert run(*arguments) == 0
    assert json.loads(capsys.readouterr().out)["dice"]["mean"] == 1
    (tmp_path / "truth" / "labels.json").write_text(json.dumps({1: "tooth", 2: "L2/L3"}))
    assert run(*arguments) != 0
    assert "labels.json" in capsys.readouterr().err


def test_a_case_without_a_mask_counts_with_dice_zero(tmp_path, capsys):
    names = {1: "L1/L2", 2: "L2/L3"}
    for case in "ab":
        write_volume(box([4, 14]), tmp_path / "truth" / case / "labels.nii.gz")
    (tmp_path / "truth" / "labels.json").write_text(json.dumps(names))
    write_label_image(box([4, 14]), names, tmp_path / "found" / "a_seg.nii.gz")
    assert run("evaluate", "--predicted", tmp_path / "found", "--reference", tmp_path / "truth", "--json") == 0
    content = json.loads(capsys.readouterr().out)
    assert content["dice"]["mean"] == pytest.approx(1 / 2)
    assert content["missed"] == 2


def test_points_are_compared_with_the_centroids_of_masks(tmp_path, capsys):
    names = {1: "L1/L2", 2: "L2/L3"}
    write_label_image(box([4, 14]), names, tmp_path / "truth" / "a" / "labels.nii.gz")
    centre = GRID.index_to_lps((9.5, 9.5, 5.5))
    points_folder(tmp_path / "found", ".mrk.json", {"a": {"L1/L2": centre + np.array([0, 0, 2])}})
    assert run("evaluate", "--predicted", tmp_path / "found", "--reference", tmp_path / "truth", "--json") == 0
    row = json.loads(capsys.readouterr().out)["regions"]["all"]
    assert (row["annotated"], row["missed"], row["mean_mm"]) == (2, 1, pytest.approx(2))


# --- inspect and convert


@pytest.mark.parametrize("target", ["b.mrk.json", "b.csv", "b_ctd.json", "landmarks.json", "b.lml"])
def test_convert_and_back_gives_the_same_points(tmp_path, target):
    (image,) = images(tmp_path, "a.nii.gz")
    write_landmarks(FOUND, tmp_path / "a.lml", GRID)
    assert run("convert", tmp_path / "a.lml", tmp_path / target, "--reference", image) == 0
    assert run("convert", tmp_path / target, tmp_path / "c.mrk.json", "--reference", image) == 0
    np.testing.assert_allclose(read_landmarks(tmp_path / "c.mrk.json").points, FOUND.points, atol=1e-4)


def test_convert_without_the_image_it_needs_is_refused(tmp_path, capsys):
    write_landmarks(FOUND, tmp_path / "a.csv")
    assert run("convert", tmp_path / "a.csv", tmp_path / "b.lml") == 3
    assert "--reference" in capsys.readouterr().err
    assert not (tmp_path / "b.lml").exists()


def test_inspect_describes_an_image(tmp_path, capsys):
    (image,) = images(tmp_path, "a.nii.gz")
    assert run("inspect", image, "--json") == 0
    content = json.loads(capsys.readouterr().out)
    assert content["size"] == [20, 20, 30]
    assert content["spacing_mm"] == [2, 2, 3]
    assert content["axes"] == "PLS"
    assert content["values"]["type"] == "int16"


def test_inspect_names_what_is_suspicious_in_landmarks(tmp_path, capsys):
    write_landmarks(Landmarks({"L1": (0, 0, 0), "L3": (0, 0, -70)}), tmp_path / "a.csv")
    assert run("inspect", tmp_path / "a.csv") == 0
    assert "no L2 between L1 and L3" in capsys.readouterr().out


def test_inspect_gives_a_row_for_every_case_of_a_data_set(tmp_path, capsys):
    for scan in ("111", "222"):
        write_volume(IMAGE, tmp_path / "patient1" / scan / f"{scan}.mhd")
        write_landmarks(FOUND, tmp_path / "patient1" / scan / f"{scan}.lml", GRID)
    write_volume(IMAGE, tmp_path / "patient2" / "333" / "333.mhd")
    assert run("inspect", tmp_path, "--json") == 1
    captured = capsys.readouterr()
    content = json.loads(captured.out)
    assert [row["case"] for row in content["cases"]] == ["111", "222"]
    assert content["cases"][0]["levels"] == ["L1", "L2"]
    assert "bone" in content["cases"][0]["remarks"][0]
    assert list(content["failed"]) == ["333"]
    assert "333.lml" in captured.err
    assert run("inspect", tmp_path) == 1
    assert "111 (patient1)" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["inspect", "train"])
def test_missing_data_exit_3_by_name(command, tmp_path, capsys):
    where = tmp_path / "nowhere"
    extra = ["--data", where, "-o", tmp_path / "m.rfm", "vertebrae"] if command == "train" else [where]
    assert run(command, *extra) == 3
    assert "nowhere" in capsys.readouterr().err


# --- the whole way


def test_phantom_train_label_evaluate_in_one_go(tmp_path, capsys):
    ids = tmp_path / "ids.txt"
    ids.write_text("4517454\n4533963\n4543027\n")
    assert run("phantom", "ct", "-n", 2, "--ids", ids, "--seed", 1, "-o", tmp_path / "data", "--jobs", 1) == 0
    assert sorted(path.stem for path in (tmp_path / "data").rglob("*.mhd")) == ["4517454", "4533963"]
    assert run("phantom", "ct", "-n", 2, "-o", tmp_path / "data") == 2
    assert (
        run("train", "vertebrae", "--data", tmp_path / "data", "-o", tmp_path / "m.rfm", "--quick", "--jobs", 1) == 0
    )
    assert run("train", "vertebrae", "--data", tmp_path / "data", "-o", tmp_path / "m.rfm", "--quick") == 2
    scans = sorted((tmp_path / "data").rglob("*.mhd"))
    assert run("label", *scans, "-o", tmp_path / "out", "--model", tmp_path / "m.rfm", "--jobs", 1) == 0
    capsys.readouterr()
    assert run("evaluate", "--predicted", tmp_path / "out", "--reference", tmp_path / "data", "--json") == 0
    content = json.loads(capsys.readouterr().out)
    assert content["cases"] == 2
    assert content["regions"]["all"]["identification_rate"] > 0.5  # trained on these very scans


def test_phantom_refuses_more_scans_than_ids(tmp_path, capsys):
    (tmp_path / "ids.txt").write_text("4517454\n")
    assert run("phantom", "ct", "-n", 2, "--ids", tmp_path / "ids.txt", "-o", tmp_path / "out") == 2
    assert "1 ids" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_inspect_tells_a_missing_path_from_a_file_of_another_kind(tmp_path, capsys):
    assert run("inspect", tmp_path / "scan") == 3
    assert "found nothing" in capsys.readouterr().err
    (tmp_path / "scan").write_text("a letter")
    assert run("inspect", tmp_path / "scan") == 3
    assert "found another file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "status", "said"), [(OSError("disk"), 3, "disk"), (KeyboardInterrupt, 130, "stopped")]
)
def test_a_full_disk_and_an_interrupt_end_with_a_line_and_no_traceback(monkeypatch, capsys, error, status, said):
    def broken(*_):
        raise error

    monkeypatch.setattr("regforest.cli.info._content", broken)
    assert run("info") == status
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("regforest: ")
    assert said in line


# --- many images: what changed, what failed, what was killed


def journal_of(out):
    return [json.loads(line) for line in (out / ".journal.jsonl").read_text().splitlines()]


def test_a_model_that_changed_since_is_refused_with_the_difference(tmp_path, model, capsys):
    paths = images(tmp_path / "in", "a.nii", "b.nii")
    words = ["label", *paths, "-o", tmp_path / "out", "--model", model]
    assert run(*words) == 0
    (tmp_path / "out" / "b.json").unlink()
    model.write_text("another model")
    assert run(*words, "--resume") == 2
    assert "model:" in capsys.readouterr().err
    assert not (tmp_path / "out" / "b.json").exists()
    model.write_text("model")
    assert run(*words, "--resume") == 0
    assert len(FakeLocalizer.seen) == 3


def test_an_image_that_changed_since_is_refused_by_name(tmp_path, model, capsys):
    [path] = images(tmp_path / "in", "a.nii")
    words = ["label", path, "-o", tmp_path / "out", "--model", model]
    run(*words)
    write_volume(Volume(IMAGE.voxels + 1, GRID), path)
    assert run(*words, "--resume") == 2
    shown = capsys.readouterr().err
    assert "a.json was made from something else" in shown
    assert "image: " in shown


def test_a_case_that_ran_out_of_memory_is_tried_again_at_the_end(tmp_path, model, monkeypatch, capsys):
    plain, tries = FakeLocalizer.localize, []

    def short_of_memory(self, image, anchor=None, n_jobs=1, max_memory_mb=None):
        tries.append((n_jobs, max_memory_mb))
        if len(tries) == 1:
            raise MemoryError("no room")
        return plain(self, image, anchor, n_jobs, max_memory_mb)

    monkeypatch.setattr(FakeLocalizer, "localize", short_of_memory)
    paths = images(tmp_path / "in", "a.nii", "b.nii")
    assert run("label", *paths, "-o", tmp_path / "out", "--model", model, "--jobs", 2) == 0
    (jobs, bound_mb), *others = tries
    assert jobs == 2
    assert bound_mb < machine_mb()
    assert others == [(2, bound_mb), (1, 60.0)]
    assert [entry["event"] for entry in journal_of(tmp_path / "out") if entry.get("case") == "a"] == [
        "begun", "failed", "begun", "finished"
    ]  # fmt: skip
    assert "to be tried again with less memory" in capsys.readouterr().err


def test_what_does_not_fit_into_the_memory_is_refused_before_it_is_read(tmp_path, model, capsys):
    paths = images(tmp_path / "in", "a.nii")
    assert run("label", *paths, "-o", tmp_path / "out", "--model", model, "--max-memory", "1MB") == 1
    assert "classifying needs 60 MB" in capsys.readouterr().err
    assert FakeLocalizer.seen == []
    assert run("label", *paths, "-o", tmp_path / "out", "--model", model, "--max-memory", "a lot") == 2


@pytest.mark.parametrize("what", ["vertebrae", "discs"])
def test_learning_that_does_not_fit_into_the_memory_is_refused_before_a_scan_is_read(
    tmp_path, monkeypatch, capsys, what
):
    from regforest.datasets.labelled_folder import LabelledCase
    from tests.vertebrae.toy_spine import toy_scan

    write_labelled_folder(tmp_path / "data", [toy_scan(i) for i in range(2)])
    monkeypatch.setattr(LabelledCase, "load", lambda self: pytest.fail("read"))
    words = ["train", what, "--data", tmp_path / "data", "-o", tmp_path / "m.rfm"]
    assert run(*words, "--max-memory", "1MB") == 3
    error = capsys.readouterr().err
    assert "training: " in error
    assert "MB are left of the bound for memory; raise it, or learn from fewer" in error
    assert not (tmp_path / "m.rfm").exists()


def test_a_bound_that_suffices_changes_nothing_of_a_model(tmp_path):
    from tests.vertebrae.toy_spine import toy_scan

    write_labelled_folder(tmp_path / "data", [toy_scan(i) for i in range(2)])
    words = ["train", "vertebrae", "--data", tmp_path / "data", "--quick"]
    assert run(*words, "-o", tmp_path / "free.rfm") == 0
    assert run(*words, "-o", tmp_path / "bounded.rfm", "--max-memory", "8GB") == 0
    assert (tmp_path / "free.rfm").read_bytes() == (tmp_path / "bounded.rfm").read_bytes()


def test_what_a_journal_says_of_no_case_does_not_stop_resuming(tmp_path, model):
    paths = images(tmp_path / "in", "a.nii")
    assert run("label", *paths, "-o", tmp_path / "out", "--model", model) == 0
    with (tmp_path / "out" / ".journal.jsonl").open("a") as stream:
        stream.write('{"event": "finished"}\n{"event": "finished", "case": ["a"]}\n')
    assert run("label", *paths, "-o", tmp_path / "out", "--model", model, "--resume") == 0


def test_two_runs_on_one_folder_of_results_do_not_mix(tmp_path, model, capsys):
    paths = images(tmp_path / "in", "a.nii")
    with folder_lock(tmp_path / "out"):
        assert run("label", *paths, "-o", tmp_path / "out", "--model", model) == 2
    assert "in use by process" in capsys.readouterr().err
