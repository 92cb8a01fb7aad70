"""``regforest info``: what this installation has and knows."""

from __future__ import annotations

import argparse
import json
import platform
from importlib import metadata
from typing import Any

from regforest._version import __version__
from regforest.cli._parser import add_command

_PACKAGES = (
    "numpy",
    "scipy",
    "numba",
    "scikit-learn",
    "joblib",
    "nibabel",
    "SimpleITK",
    "tqdm",
    "matplotlib",
    "shtab",
)
_EXTRAS = {
    "dicom": ("pydicom", "highdicom", "pylibjpeg", "pylibjpeg-libjpeg", "pylibjpeg-openjpeg"),
    "sheets": ("openpyxl",),
    "view": ("ipyniivue",),
    "cluster": ("dask", "distributed"),
}


def add_commands(commands: Any) -> None:
    """Add ``info``."""
    parser = add_command(
        commands, "info", run, "versions, models, layouts and levels", "  regforest info --json | python -m json.tool"
    )
    parser.add_argument("--json", action="store_true", help="for machines")


def run(arguments: argparse.Namespace) -> int:
    """Print what there is."""
    content = _content()
    if arguments.json:
        print(json.dumps(content, indent=1))
        return 0
    versions = ", ".join(f"{name} {version or 'missing'}" for name, version in content["packages"].items())
    print(f"regforest {__version__}, Python {content['python']}")
    print(f"packages: {versions}")
    for name, installed in content["extras"].items():
        advice = "installed" if installed else f"missing; pip install 'regforest[{name}]'"
        print(f"extra:    {name}: {advice}")
    print(f"models:   {', '.join(content['models']) or 'none built in; see regforest train'}")
    print(f"layouts:  {', '.join(content['layouts'])}")
    print(f"levels:   {', '.join(level['name'] for level in content['levels'])}")
    return 0


def _content() -> dict[str, Any]:
    from regforest.datasets.detect import LAYOUTS
    from regforest.models import built_in_models
    from regforest.spatial.level_tables import LEVEL_TABLES
    from regforest.spatial.levels import DISCS, LEVELS, level

    return {
        "version": __version__,
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "extras": {name: all(map(_version, packages)) for name, packages in _EXTRAS.items()},
        "models": list(built_in_models()),
        "layouts": list(LAYOUTS),
        "label_tables": list(LEVEL_TABLES),
        "levels": [
            {"name": name, "number": level(name).number, "region": level(name).region} for name in (*LEVELS, *DISCS)
        ],
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
