import subprocess
import sys
from pathlib import Path

import pytest

from regforest.io import IMAGE_SUFFIXES


@pytest.mark.parametrize("suffix", IMAGE_SUFFIXES)
def test_damaged_images_give_an_error_of_ours_or_a_whole_volume_in_bounded_memory(suffix):
    command = [sys.executable, "-m", "fuzz.images", "--only", suffix]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert int(done.stdout.split()[1].strip(",")) > 1500
