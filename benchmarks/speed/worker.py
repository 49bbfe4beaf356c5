"""A process that does the tasks of one side when asked: `worker.py SIDE CASE`.

It says which tasks it has and how many weights its networks, then reads the names of tasks from
stdin, a line each, and answers each with a line of JSON: seconds, and the process' peak of memory
during the task [MiB].
"""

import importlib
import json
import sys
import time
from pathlib import Path

from case import Case

STATUS = Path("/proc/self/status")


def main() -> None:
    """Serves until stdin ends."""
    tasks, weights = importlib.import_module(sys.argv[1]).tasks(Case(**json.loads(sys.argv[2])))
    warm = set()
    print(json.dumps([sorted(tasks), weights]), flush=True)
    for line in sys.stdin:
        task = line.strip()
        if task not in warm:  # traced, allocated
            tasks[task]()
            warm.add(task)
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak before
        started = time.perf_counter()
        tasks[task]()
        seconds = time.perf_counter() - started
        peak = next(x for x in STATUS.read_text().splitlines() if x.startswith("VmHWM"))
        print(json.dumps([seconds, int(peak.split()[1]) / 1024]), flush=True)


if __name__ == "__main__":
    main()
