import json
import os
import signal
import subprocess
import sys

import pytest

from regforest.errors import FileError, UsageError
from regforest.io import folder_lock

HOLDER = """
import sys, time
from pathlib import Path
from regforest.io import folder_lock
with folder_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the folder."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_run_is_told_who_holds_the_folder(tmp_path, holder):
    with pytest.raises(UsageError, match=rf"in use by process {holder.pid} on"), folder_lock(tmp_path):
        pass
    assert (tmp_path / ".lock").exists()


def test_the_lock_of_a_killed_run_is_no_obstacle(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / ".lock").exists()
    with folder_lock(tmp_path):
        assert json.loads((tmp_path / ".lock").read_text())["pid"] == os.getpid()
    assert not (tmp_path / ".lock").exists()


def test_a_run_that_may_go_on_elsewhere_has_to_be_ended_by_hand(tmp_path):
    (tmp_path / ".lock").write_text(json.dumps({"pid": 7, "host": "elsewhere", "since": "noon"}))
    with pytest.raises(UsageError, match=r"process 7 on elsewhere since noon.*delete"), folder_lock(tmp_path):
        pass
    (tmp_path / ".lock").unlink()
    with folder_lock(tmp_path):
        pass


def test_an_error_inside_gives_the_folder_free(tmp_path):
    with pytest.raises(ZeroDivisionError), folder_lock(tmp_path):
        raise ZeroDivisionError
    with folder_lock(tmp_path), pytest.raises(UsageError, match="in use by process"), folder_lock(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(FileError, match="file/out: expected a folder to write to"),
        folder_lock(tmp_path / "file" / "out"),
    ):
        pass


def test_a_lock_that_nobody_can_read_is_no_obstacle(tmp_path):
    (tmp_path / ".lock").write_text("[" * 4096)
    with folder_lock(tmp_path):
        assert json.loads((tmp_path / ".lock").read_text())["pid"] == os.getpid()
