"""The updates against PyTorch's and against the arithmetic alone, alternated in one run.

    make bench    # needs `pip install ".[bench]"`, and an idle machine
    python benchmarks/speed/compare.py --scales=phantom --precisions=float32 --rounds=9

Each side is a process of its own, which works only when asked. A round asks every side for one task
after the other; the table has medians over rounds, the ratio to PyTorch, and which share of our
time the task's convolutions take alone. It replaces the part of `benchmarks/RESULTS.md` of the
same scale and precision.
"""

import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from case import CASES, TOOLS, UPDATES, Case
from tqdm import tqdm

from cmda_tf import cli, tables
from cmda_tf.files import write_text
from cmda_tf.settings import Settings, setting

HERE = Path(__file__).parent
SIDES = ("ours", "peer", "limit")
REST_SECONDS = 0.3  # threads of the side before spin for a while


@dataclass(frozen=True)
class SpeedSettings(Settings):
    """What to measure, and how often."""

    scales: tuple[str, ...] = setting(("phantom", "paper"), "Sizes to measure.", choices=CASES)
    precisions: tuple[str, ...] = setting(("float32", "mixed_bfloat16"), "Arithmetic.")
    rounds: int = setting(7, "Rounds at the phantom's size; at the paper's two.", minimum=1)
    tools: bool = setting(True, "Measure preparation and evaluation as well.")
    out: str = setting(str(HERE.parent / "RESULTS.md"), "Where the tables go.")


class Side:
    """A worker process."""

    def __init__(self, name: str, case: Case):
        command = [sys.executable, str(HERE / "worker.py"), name, json.dumps(asdict(case))]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL, **pipes)
        self.tasks, self.weights = self._answer()

    def measure(self, task: str) -> tuple[float, float]:
        """Seconds and peak memory [MiB] of one call."""
        self._process.stdin.write(task + "\n")
        self._process.stdin.flush()
        return tuple(self._answer())

    def close(self) -> None:
        """Ends the process."""
        self._process.stdin.close()
        self._process.wait()

    def _answer(self) -> list:
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args[2]}: ended with {self._process.wait()}")
        return json.loads(line)


def measure(case: Case, names: tuple[str, ...], rounds: int) -> dict[str, dict[str, list]]:
    """Seconds and MiB of every task and side, a pair for each round."""
    sides = {name: Side(name, case) for name in SIDES}
    if sides["ours"].weights != sides["peer"].weights:
        counts = {name: side.weights for name, side in sides.items()}
        raise RuntimeError(f"expected equal numbers of weights, found {counts}")
    results = {task: {s: [] for s in SIDES if task in sides[s].tasks} for task in names}
    for task in tqdm([t for _ in range(rounds) for t in names], desc=str(case)):
        for name, pairs in results[task].items():
            time.sleep(REST_SECONDS)
            pairs.append(sides[name].measure(task))
    for side in sides.values():
        side.close()
    return results


def table(results: dict[str, dict[str, list]]) -> str:
    """Medians as Markdown; a peak is the largest of any round."""
    header = ["", "ours [s]", "PyTorch [s]", "ratio", "convolutions alone", "ours / PyTorch [MiB]"]
    rows = []
    for task, sides in results.items():
        seconds = {s: statistics.median(t for t, _ in pairs) for s, pairs in sides.items()}
        peaks = [f"{max(m for _, m in sides[s]):.0f}" for s in ("ours", "peer") if s in sides]
        ours, peer, limit = (seconds.get(side) for side in SIDES)
        ratio = "" if peer is None else f"{ours / peer:.2f}"
        share = "" if limit is None else f"{limit / ours:.0%}"
        times = ["" if s is None else f"{s:.3f}" for s in (ours, peer)]
        rows.append([task.replace("_", " "), *times, ratio, share, " / ".join(peaks)])
    return tables.to_markdown(header, rows)


def main(settings: SpeedSettings) -> None:
    """Measures, prints and writes every case's table."""
    versions = ", ".join(f"{n} {version(n)}" for n in ("tensorflow", "keras", "torch"))
    where = f"{_processor()}, {os.cpu_count()} cores, {versions}, {datetime.date.today()}"
    for scale in settings.scales:
        rounds = settings.rounds if scale == "phantom" else min(2, settings.rounds)
        for precision in settings.precisions:
            case = Case(*CASES[scale], precision)
            _report(f"{scale}, {precision}", case, UPDATES, rounds, where, settings.out)
    if settings.tools:
        case = Case(*CASES["phantom"])
        _report("preparation and evaluation", case, TOOLS, settings.rounds, where, settings.out)


def _report(
    title: str, case: Case, names: tuple[str, ...], rounds: int, where: str, out: str
) -> None:
    size = f"{case.size}x{case.size}, width {case.width:g}, batch {case.batch}"
    text = f"{size}; medians of {rounds}; {where}\n\n{table(measure(case, names, rounds))}\n"
    print(f"\n{title}\n{text}", flush=True)
    path = Path(out)
    parts = path.read_text(encoding="utf-8").split("\n## ") if path.is_file() else ["# Speed\n"]
    kept = [part for part in parts if part.split("\n")[0] != title]
    write_text(path, "\n## ".join([*kept, f"{title}\n{text}"]))


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.split(": ")[1] for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


if __name__ == "__main__":
    cli.run(main, SpeedSettings)
