import re

import pytest

from regforest.errors import FileError
from regforest.report import write_preview
from regforest.spatial import Landmarks
from tests.report.spines import curved_spine, found


def test_a_preview_is_a_picture_and_a_page_that_needs_nothing_else(tmp_path):
    volume, centres = curved_spine()
    answer = found(centres, status="uncertain", reason="no anchoring level in view", probabilities={"L3": 0.4})
    write_preview(volume, answer, tmp_path / "scan", "scan")
    assert (tmp_path / "scan.png").read_bytes()[:4] == b"\x89PNG"
    page = (tmp_path / "scan.html").read_text()
    for text in ("uncertain: no anchoring level in view", "L3 40 %", "<td>40.0 %</td>", "L5"):
        assert text in page
    assert set(re.findall(r'href="([^,]{0,30})', page)) == {"data:image/webp;base64"}
    assert len(page) < 300_000


def test_a_preview_is_written_even_where_nothing_was_found(tmp_path):
    write_preview(curved_spine()[0], found(Landmarks({}), status="empty", reason="nothing"), tmp_path / "a", "a")
    assert "empty: nothing" in (tmp_path / "a.html").read_text()
    assert (tmp_path / "a.png").is_file()


def test_a_place_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(FileError, match="file"):
        write_preview(*curved_spine()[:1], found(Landmarks({})), tmp_path / "file" / "a", "a")
