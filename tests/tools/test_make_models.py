"""What comes with the package: models with their cards, and the tool that makes them."""

import pytest

from regforest.cli import main
from regforest.datasets.phantoms.mr import write_mr_phantom
from regforest.discs import DiscSettings
from regforest.models import built_in_models
from tools import make_models

SMALL = DiscSettings(
    coarse_patches=150, fine_patches=60, label_patches=300, turns_deg=(0.0,), scales=(1.0,), passes=1
)


@pytest.mark.parametrize("name", built_in_models())
def test_a_built_in_model_is_small_and_has_a_card_with_its_training_command(name):
    file = built_in_models()[name]
    card = file.with_suffix(".md").read_text(encoding="utf-8")
    assert file.stat().st_size < 16e6
    assert f"python -m tools.make_models {name}" in card
    for word in ("Training data", "Settings", "Not for"):
        assert word in card


def test_the_model_for_mr_is_taken_as_soon_as_it_is_made(tmp_path, monkeypatch, capsys):
    models, scans = tmp_path / "models", tmp_path / "scans"
    models.mkdir()
    for module in ("regforest.models", "tools.make_models"):
        monkeypatch.setattr(f"{module}._FOLDER", models)
    monkeypatch.setattr(make_models, "DiscSettings", lambda **_: SMALL)
    few = lambda folder, _, *rest, **named: write_mr_phantom(folder, 3, *rest, **named)  # noqa: E731
    monkeypatch.setattr(make_models, "write_mr_phantom", few)
    make_models.main(["mr-phantom"])
    write_mr_phantom(scans, 1, seed=5, contrast="t2", layout="labelled-folder")
    assert main(["discs", str(scans / "01"), "-o", str(tmp_path / "out"), "--segment", "-q"]) == 0
    assert "L4/L5" in capsys.readouterr().out
    assert (tmp_path / "out" / "01_seg.nii.gz").is_file()
