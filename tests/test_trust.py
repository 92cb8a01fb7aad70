"""What holds for every run: nothing unpickled, nothing sent, nothing written elsewhere, no name carried along."""

import ast
import gzip
import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest

import regforest
from tests.watched_run import NAME

ROOT = Path(__file__).parents[1]
RUNS_CODE = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "yaml", "torch"}


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    folder = tmp_path_factory.mktemp("watched")
    done = subprocess.run(
        [sys.executable, "-m", "tests.watched_run", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder, json.loads(done.stdout.splitlines()[-1]), done


def test_a_whole_run_unpickles_nothing(watched):
    assert watched[1]["unpickled"] == []


def test_a_whole_run_asks_no_network(watched):
    assert watched[1]["network"] == []


def test_a_whole_run_starts_no_program_but_one_that_names_the_processor(watched):
    # fc-list: matplotlib looks for fonts the first time that it runs on a machine, and keeps what it found
    assert all("uname" in started or "fc-list" in started for _, started in watched[1]["started"])


def test_a_whole_run_writes_only_where_it_was_told_to(watched):
    folder, noted, _ = watched
    elsewhere = [
        name
        for name in noted["written"]
        if not Path(name).resolve().is_relative_to(folder)
        and not {"numba", "__pycache__", "matplotlib"} & set(Path(name).parts)
    ]
    # an experiment makes the files of a case in the system's scratch folder first, and clears it
    scratch = Path(tempfile.gettempdir()).resolve()
    left = [name for name in elsewhere if not Path(name).resolve().is_relative_to(scratch) or Path(name).exists()]
    assert [name for name in left if name != "/dev/null" and "numba" not in name] == []


def test_a_name_in_the_headers_of_images_stays_there(watched):
    folder, _, done = watched
    assert NAME.encode() in gzip.decompress((folder / "scan.nii.gz").read_bytes())
    assert NAME not in done.stdout + done.stderr
    outputs = [path for path in (folder / "out").rglob("*") if path.is_file()]
    assert {path.suffix for path in outputs} >= {".rfm", ".json", ".lml", ".csv", ".png", ".html", ".gz"}
    for path in outputs:
        assert NAME.encode() not in b"".join(contents(path)), path


def contents(path):
    yield path.read_bytes()
    if path.suffix == ".gz":
        yield gzip.decompress(path.read_bytes())
    if path.suffix == ".rfm":
        with zipfile.ZipFile(path) as archive:
            yield from (archive.read(name) for name in archive.namelist())


def modules():
    return sorted(Path(regforest.__file__).parent.rglob("*.py"))


def test_no_module_of_the_package_imports_what_runs_code_while_reading():
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not RUNS_CODE & {name.partition(".")[0] for name in names}, path


def test_no_module_of_the_package_calls_what_runs_code_while_reading():
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called not in {"eval", "exec", "joblib.load", "compile"}, path
                options = {option.arg: ast.unparse(option.value) for option in node.keywords}
                assert options.get("allow_pickle", "False") == "False", path
                assert called not in {"np.load", "numpy.load"} or "allow_pickle" in options, path
