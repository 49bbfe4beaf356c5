"""Commands of this package as jobs that wait for each other, some of them side by side."""

import contextlib
import functools
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cmda_tf.errors import CmdaError
from cmda_tf.files import make_folder

_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Job:
    """A command of a name that no other job has."""

    name: str
    module: str  # such as `cmda_tf.train`
    arguments: tuple[str, ...]
    needs: frozenset[str]  # jobs that must be done before; those that are not among the jobs are
    log: Path  # gets the output when jobs run side by side

    @property
    def command(self) -> str:
        """As one types it."""
        return shlex.join(["python", "-m", self.module, *self.arguments])


class JobFailed(CmdaError):
    """A job failed; its exit code is passed on."""

    def __init__(self, job: Job, exit_code: int, reason: str):
        text = f"this command failed (exit code {exit_code}): {job.command}"
        super().__init__(f"{text}; {reason}" if reason else text)
        self.exit_code = exit_code if exit_code > 0 else 1


def available_cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def run_jobs(jobs: Sequence[Job], workers: int) -> None:
    """Runs every job in a process of its own, at most `workers` at a time.

    A single worker's job shares this terminal; several write to their logs. When one fails, or
    Ctrl-C comes, those under way are told to stop (SIGTERM, which `cli` takes as Ctrl-C, also
    where that is ignored); trainings then save what they have done. JobFailed: a job's exit code
    was not 0. ValueError: two jobs have one name, or jobs wait for each other.
    """
    waiting, running = list(jobs), dict[Job, tuple[subprocess.Popen, float]]()
    if len({job.name for job in jobs}) < len(jobs):
        raise ValueError(f"expected one name a job: {[job.name for job in jobs]}")
    try:
        while waiting or running:
            _start_ready(waiting, running, workers)
            time.sleep(_POLL_SECONDS)
            _collect(running, workers)
    finally:
        for process, *_ in running.values():
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        for process, *_ in running.values():
            process.wait()


def _start_ready(waiting: list[Job], running: dict, workers: int) -> None:
    """Starts jobs, in their order, while a worker is free and one waits for nothing."""
    while len(running) < workers:
        pending = {job.name for job in [*waiting, *running]}
        job = next((job for job in waiting if not job.needs & pending), None)
        if job is None:
            if waiting and not running:
                raise ValueError(f"{waiting[0].name} waits for {sorted(waiting[0].needs)} for ever")
            return
        waiting.remove(job)
        where = f"  > {job.log}" if workers > 1 else ""
        print(f"{time.strftime('%H:%M:%S')}  $ {job.command}{where}", flush=True)
        running[job] = (_start(job, workers), time.monotonic())


def _start(job: Job, workers: int) -> subprocess.Popen:
    """Starts the process, out of reach of the terminal's Ctrl-C: `run_jobs` tells it to stop."""
    command = [sys.executable, "-m", job.module, *job.arguments]
    start = functools.partial(subprocess.Popen, command, start_new_session=True)
    if workers == 1:
        return start()
    make_folder(job.log.parent)
    with open(job.log, "ab") as log:  # what an earlier, stopped attempt said stays
        return start(stdout=log, stderr=subprocess.STDOUT)


def _collect(running: dict, workers: int) -> None:
    """Removes the jobs that are done and says so."""
    for job, (process, start) in list(running.items()):
        code = process.poll()
        if code is None:
            continue
        del running[job]
        if code == 130:
            raise KeyboardInterrupt
        if code:
            lines = job.log.read_text("utf-8", "replace").splitlines() if workers > 1 else [""]
            raise JobFailed(job, code, lines[-1] if lines else f"{job.log} is empty")
        minutes, seconds = divmod(round(time.monotonic() - start), 60)
        print(f"{time.strftime('%H:%M:%S')}  {job.name}: done in {minutes}:{seconds:02d}")
