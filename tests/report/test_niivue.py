import re
from importlib import metadata

import pytest

from regforest.report.niivue import installed_viewer


@pytest.fixture(autouse=True)
def fresh():
    installed_viewer.cache_clear()
    yield
    installed_viewer.cache_clear()


def test_the_installed_package_brings_the_library_and_its_licence():
    viewer = installed_viewer()
    assert re.search(r"export\{[^}]*Niivue", viewer.code[-2000:])
    assert "</script" not in viewer.code
    assert "Redistribution and use" in viewer.licence
    assert viewer.version == metadata.version("ipyniivue")


def test_without_the_package_there_is_no_viewer(monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "files", missing)
    assert installed_viewer() is None


def test_a_package_that_no_longer_brings_the_library_is_no_viewer(monkeypatch):
    class File:
        def __init__(self, path, text):
            self.path, self.text = path, text

        def match(self, pattern):
            return metadata.PackagePath(self.path).match(pattern)

        def read_text(self, encoding):
            return self.text

    widget = File("ipyniivue/static/widget.js", 'var a="' + "x" * 600_000 + '"')
    licence = File("ipyniivue-9.dist-info/licenses/LICENSE", "terms")
    monkeypatch.setattr(metadata, "files", lambda name: [widget, licence])
    assert installed_viewer() is None
