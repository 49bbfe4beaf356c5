"""Atomic writes: all or nothing."""

import subprocess
import sys

import pytest

from cmda_tf.errors import DataError, UsageError
from cmda_tf.files import locked, make_folder, read_json, replacing, write_json


def test_failed_write_leaves_what_was_there(tmp_path):
    path = tmp_path / "a" / "x.nii.gz"
    write_json(path, {"old": 1})
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        assert temporary.name.endswith("x.nii.gz") and temporary.parent == path.parent
        temporary.write_text("half")
        raise RuntimeError
    assert read_json(path) == {"old": 1}
    assert list(path.parent.iterdir()) == [path]


def test_a_full_disk_is_told_with_the_file(tmp_path):
    with pytest.raises(OSError, match="No space left") as caught, replacing(tmp_path / "x"):
        raise OSError(28, "No space left on device")
    assert caught.value.filename == str(tmp_path / "x")


def test_json_without_nan(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "x.json", {"x": float("nan")})
    assert not list(tmp_path.iterdir())


def test_errors_name_the_file(tmp_path):
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(DataError, match=r"x\.json: expected JSON"):
        read_json(tmp_path / "x.json")
    (tmp_path / "deep.json").write_text("[" * 100_000)
    with pytest.raises(DataError, match=r"deep\.json: expected JSON"):
        read_json(tmp_path / "deep.json")
    with pytest.raises(DataError, match=r"y\.json: cannot be read"):
        read_json(tmp_path / "y.json")
    with pytest.raises(DataError, match=r"x\.json.*: cannot make this output folder"):
        make_folder(tmp_path / "x.json" / "below")


HOLD = """
import sys
from cmda_tf.files import locked
with locked(sys.argv[1]):
    print(flush=True)
    input()
"""


def test_a_locked_folder_is_closed_to_other_processes_until_they_die(tmp_path):
    folder = tmp_path / "run"
    command = [sys.executable, "-c", HOLD, str(folder)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as other:
        other.stdout.readline()
        with pytest.raises(UsageError, match=r"run: another process is working"), locked(folder):
            pass
        other.kill()
    with locked(folder):
        (folder / "x").touch()
    assert [p.name for p in folder.iterdir()] == ["x"]
    with pytest.raises(RuntimeError), locked(tmp_path / "refused"):
        raise RuntimeError
    assert not (tmp_path / "refused").exists()
