"""Jobs: their order, failures, and what an interruption leaves, with real processes."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cmda_tf.reproduction.jobs import Job, JobFailed, run_jobs

# Notes its start and end in a file; sleeps, unless told to stop; exits as told.
WORKER = """
import signal, sys, time
signal.signal(signal.SIGTERM, signal.default_int_handler)
name, file, seconds, code = sys.argv[1:]
note = lambda what: open(file, "a").write(f"{what} {name}\\n")
note("start")
try:
    time.sleep(float(seconds))
except KeyboardInterrupt:
    note("saved")
    sys.exit(130)
note("end")
print("error: told why" if code != "0" else "fine")
sys.exit(int(code))
"""
# Runs jobs given by name, in a process that can be interrupted.
MAIN = """
import signal, sys
from test_jobs import job
from cmda_tf.reproduction.jobs import run_jobs
from pathlib import Path
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.default_int_handler)
run_jobs([job(Path(sys.argv[1]), name, seconds=60) for name in "ab"], int(sys.argv[2]))
"""


@pytest.fixture(autouse=True)
def worker(tmp_path, monkeypatch):
    (tmp_path / "a_worker.py").write_text(WORKER)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path(__file__).parents[2]}")


def job(folder, name, *needs, seconds=0.0, code=0):
    arguments = (name, str(folder / "notes"), str(seconds), str(code))
    return Job(name, "a_worker", arguments, frozenset(needs), folder / "logs" / f"{name}.log")


def notes(folder):
    path = folder / "notes"
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def test_jobs_wait_for_what_they_need(tmp_path, capfd):
    jobs = [job(tmp_path, "c", "b", "gone"), job(tmp_path, "b", "a"), job(tmp_path, "a")]
    run_jobs(jobs, 1)
    assert notes(tmp_path) == [f"{what} {name}" for name in "abc" for what in ("start", "end")]
    printed = capfd.readouterr().out
    assert printed.count("fine") == 3 and not (tmp_path / "logs").exists()  # one terminal for all
    assert "$ python -m a_worker a " in printed and "c: done in 0:0" in printed


def test_workers_work_side_by_side_and_write_logs(tmp_path, capfd):
    jobs = [job(tmp_path, name, seconds=1) for name in "ab"] + [job(tmp_path, "c", "a", "b")]
    run_jobs(jobs, 2)
    actual = notes(tmp_path)
    assert sorted(actual[:2]) == ["start a", "start b"] and actual[-2:] == ["start c", "end c"]
    assert (tmp_path / "logs/a.log").read_text(encoding="utf-8") == "fine\n"
    assert "fine" not in capfd.readouterr().out


def test_no_more_jobs_at_once_than_workers(tmp_path):
    run_jobs([job(tmp_path, name, seconds=0.3) for name in "abcd"], 2)
    under_way, most = 0, 0
    for line in notes(tmp_path):
        under_way += 1 if line.startswith("start") else -1
        most = max(most, under_way)
    assert most == 2


def test_jobs_that_can_never_run_are_refused(tmp_path):
    with pytest.raises(ValueError, match="a waits for"):
        run_jobs([job(tmp_path, "a", "b"), job(tmp_path, "b", "a")], 2)
    with pytest.raises(ValueError, match="one name a job"):
        run_jobs([job(tmp_path, "a"), job(tmp_path, "a")], 1)
    assert not notes(tmp_path)


@pytest.mark.parametrize("workers", [1, 2])
def test_failure_is_told_with_its_code_and_stops_the_rest(tmp_path, workers):
    jobs = [job(tmp_path, "a", seconds=1, code=2), job(tmp_path, "b", seconds=60)]
    with pytest.raises(JobFailed, match=r"exit code 2.*a_worker a") as error:
        run_jobs([*jobs, job(tmp_path, "c", "b")], workers)
    assert error.value.exit_code == 2
    assert ("told why" in str(error.value)) == (workers == 2)  # one worker's was on the terminal
    assert ("saved b" in notes(tmp_path)) == (workers == 2)
    assert not any("c" in line.split() for line in notes(tmp_path))


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_job_saves_once_and_nothing_more_is_started(tmp_path, workers, sent):
    (tmp_path / "main.py").write_text(MAIN)
    process = subprocess.Popen(
        [sys.executable, "main.py", str(tmp_path), str(workers)],
        cwd=tmp_path,
        env={"PYTHONPATH": f"{tmp_path}:{Path(__file__).parent}:{Path(__file__).parents[2]}"},
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while len(notes(tmp_path)) < workers and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.2)  # let them reach their sleep
    process.send_signal(sent)
    assert process.wait(60) != 0
    assert sorted(notes(tmp_path)) == sorted(
        f"{what} {name}" for name in "ab"[:workers] for what in ("start", "saved")
    )
