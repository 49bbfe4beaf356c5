"""Writing files so that a failed write leaves nothing half-written; reading them, in one line."""

import contextlib
import gzip
import json
import os
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cmda_tf.errors import DataError, UsageError


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`; on success it is renamed to `path`.

    It keeps all suffixes (`.nii.gz`), by which writers choose the format. On any exception it is
    removed and `path` is as it was; an OSError without a file's name (a full disk) gets it.
    """
    path = Path(path)
    make_folder(path.parent)
    temporary = path.with_name(f".tmp{os.getpid()}_{path.name}")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        error.filename = error.filename or str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def make_folder(path: str | Path) -> Path:
    """Creates a folder with its parents; DataError if it cannot be made or written to."""
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{path}: cannot make this output folder ({error.strerror})") from error
    if not os.access(path, os.W_OK):
        raise DataError(f"{path}: this output folder is not writable")
    return path


@contextlib.contextmanager
def locked(folder: str | Path) -> Iterator[None]:
    """Keeps other processes that ask for it out of a folder, which is made if it is missing.

    UsageError if another process is in it; the lock of a process that dies dies with it.
    """
    folder = make_folder(folder)
    path = folder / ".lock"
    with open(path, "a", encoding="utf-8") as lock:
        try:
            if sys.platform != "win32":  # which has other locks: nothing is locked there
                import fcntl

                fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(f"{folder}: another process is working in this folder") from error
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                folder.rmdir()  # if nothing has been put there


def write_text(path: str | Path, text: str) -> None:
    """Writes a text file (UTF-8) by way of a temporary name."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    """Writes `value` as indented JSON; non-finite numbers are refused, not written as NaN."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


@contextlib.contextmanager
def readable(path: str | Path) -> Iterator[None]:
    """Turns what reading a file, perhaps a packed one, may raise into DataErrors that name it."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: expected a complete gzip file, found {error}") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error


def read_json(path: str | Path) -> Any:
    """Reads a JSON file; DataError if it is missing, unreadable or no JSON."""
    try:
        with readable(path):
            return json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # the latter: thousands of brackets
        raise DataError(f"{path}: expected JSON, found {error}") from error
