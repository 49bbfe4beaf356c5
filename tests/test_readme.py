"""The README's numbers are those of the report in results/."""

import json
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def table(head):
    """The cells of the README's table with this first column's head, a list per line."""
    lines = iter(README.splitlines())
    titles = next(line for line in lines if line.startswith(f"| {head} |"))
    next(lines)
    actual = [titles]
    for line in lines:
        if not line.startswith("|"):
            break
        actual.append(line)
    assert len(actual) > 1
    return [[cell.strip(" *") for cell in line.strip("|").split("|")] for line in actual]


@pytest.fixture(scope="module")
def rows():
    """The report's rows by title: each structure's mean and deviation of Dice."""
    report = json.loads((ROOT / "results/results.json").read_text(encoding="utf-8"))
    return {row["title"]: row["structures"] for row in report["rows"].values()}


def mean(row):
    return f"{np.mean([cell['dice_mean'] for cell in row.values()]):.1f}"


def test_table_over_seeds(rows):
    (_, *names, last), *lines = table("Dice [%]")
    assert last == "mean" and len(lines) > 8
    for title, *cells in lines:
        row = rows[title.partition(":")[0]]
        expected = [f"{row[n]['dice_mean']:.1f}±{row[n]['dice_std']:.1f}" for n in names]
        assert cells == [*expected, mean(row)], title


def test_table_of_depths(rows):
    (_, *depths), *lines = table("mean Dice [%]")
    assert depths == ["d=13", "d=21", "d=31"] and [line[0] for line in lines] == ["AdaBN", "UDA"]
    for method, *cells in lines:
        assert cells == [mean(rows[f"{method} {depth}"]) for depth in depths], method


def test_report_says_how_it_was_made():
    text = (ROOT / "results/report.md").read_text(encoding="utf-8")
    assert "python -m cmda_tf.reproduce --flagfile=flags/phantom.cfg" in text
    assert "--seeds=0,1,2" in text and "--rows" not in text.splitlines()[2]
    assert "numbers of a phantom" in text
