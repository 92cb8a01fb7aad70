"""One seed, the same numbers bit for bit, however the work is cut up. Processes: see `test_cluster`."""

import shutil

import pytest
import threadpoolctl

from regforest.cli import main as regforest
from regforest.datasets import open_dataset
from regforest.forest import coarse_to_fine_memory_mb
from regforest.vertebrae import VertebraLocalizer, localizer
from tests.experiments.small_run import predictions_of, run, summary_of


def assert_same(out, alone):
    assert summary_of(out) == summary_of(alone)
    assert predictions_of(out) == predictions_of(alone)


def test_the_number_of_jobs_and_of_blas_threads_changes_nothing(phantoms, alone, tmp_path):
    with threadpoolctl.threadpool_limits(2):
        assert run(phantoms, tmp_path / "out", "--jobs", "3") == 0
    assert_same(tmp_path / "out", alone)


def test_the_order_in_which_files_were_written_changes_nothing(phantoms, alone, tmp_path):
    copy = tmp_path / "phantoms"
    copy.mkdir()
    for path in sorted(phantoms.iterdir(), reverse=True):
        (shutil.copytree if path.is_dir() else shutil.copy)(path, copy / path.name)
    assert run(copy, tmp_path / "out", "--jobs", "2") == 0
    assert {**summary_of(tmp_path / "out"), "dataset": "", "notes": ""} == {
        **summary_of(alone), "dataset": "", "notes": ""
    }  # fmt: skip
    assert predictions_of(tmp_path / "out") == predictions_of(alone)


def test_work_in_thin_slabs_changes_nothing(phantoms, alone, tmp_path, monkeypatch):
    predict, bounds = localizer.predict_coarse_to_fine, []

    def thinnest(forest, boxes, volumes, spacing_mm, **options):
        _, most, least = coarse_to_fine_memory_mb(forest, boxes, volumes[0].shape, spacing_mm)
        bounds.append((least, most))
        return predict(forest, boxes, volumes, spacing_mm, **options | {"max_memory_mb": least})

    monkeypatch.setattr(localizer, "predict_coarse_to_fine", thinnest)
    assert run(phantoms, tmp_path / "out", "--jobs", "1") == 0
    assert any(least < most for least, most in bounds)
    assert_same(tmp_path / "out", alone)


def test_going_on_after_a_stop_changes_nothing(phantoms, alone, tmp_path, monkeypatch):
    whole, seen = VertebraLocalizer.localize, []

    def stopping(self, volume, **options):
        seen.append(volume)
        if len(seen) == 4:
            raise KeyboardInterrupt
        return whole(self, volume, **options)

    monkeypatch.setattr(VertebraLocalizer, "localize", stopping)
    assert run(phantoms, tmp_path / "out", "--jobs", "1") == 130
    assert run(phantoms, tmp_path / "out", "--jobs", "2", "--resume") == 0
    assert_same(tmp_path / "out", alone)


@pytest.fixture(scope="session")
def model(phantoms, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "quick.rfm"
    assert regforest(["train", "vertebrae", "--data", str(phantoms), "-o", str(path), "--quick", "--jobs", "2"]) == 0
    return path


def test_label_answers_alike_for_any_jobs_order_and_pauses(phantoms, model, tmp_path):
    images = [str(case.image_files["image"]) for case in open_dataset(phantoms, "auto").cases][:3]
    ways = {"plain": (images, "1"), "other": (images[::-1], "2"), "paused": (images[:2], "2")}
    for name, (chosen, jobs) in ways.items():
        words = ["label", *chosen, "-o", str(tmp_path / name), "--model", str(model), "--jobs", jobs]
        assert regforest(words) == 0
    words = [
        "label",
        *images,
        "-o",
        str(tmp_path / "paused"),
        "--model",
        str(model),
        "--resume",
        "--max-memory",
        "8GB",
    ]
    assert regforest(words) == 0
    plain, *others = ({file.name: file.read_bytes() for file in (tmp_path / name).glob("[!.]*")} for name in ways)
    assert len(plain) == 9
    assert others == [plain, plain]
