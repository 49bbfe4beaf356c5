"""How good a choice was: ranks and regret by hand, mean Dice as the table's."""

import runpy
from pathlib import Path

import numpy as np
import pytest

from cmda_tf.data.structures import HEART
from cmda_tf.evaluation.oracle_gap import OracleGap, mean_dice
from cmda_tf.evaluation.report import Report
from cmda_tf.evaluation.scores import Row, score_subject, summarize

BENCHMARK = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks/selection.py"))
rank_correlation, regret = BENCHMARK["rank_correlation"], BENCHMARK["regret"]
DICE = {0: 10.0, 5: 30.0, 10: 20.0, 15: 40.0}


def test_rank_correlation():
    """Ranks 1234 against 1324: 1 - 6 (0 + 1 + 1 + 0) / (4 (16 - 1)) = 0.8."""
    assert rank_correlation({0: -9.0, 5: -1.0, 10: 0.0, 15: 0.1}, DICE) == pytest.approx(0.8)
    assert rank_correlation({k: -v for k, v in DICE.items()}, DICE) == pytest.approx(-1)
    # Without the first: ranks 123 against 213.
    unknown = {0: None, 5: 1.0, 10: 2.0, 15: 3.0}
    assert rank_correlation(unknown, DICE) == pytest.approx(0.5)


def test_rank_correlation_that_says_nothing_is_none():
    assert rank_correlation({0: 1.0, 5: 1.0, 10: 1.0}, DICE) is None
    assert rank_correlation({0: None, 5: 1.0, 10: 2.0}, DICE) is None


def test_regret():
    assert regret({0: 0.0, 5: 2.0, 10: 1.0, 15: 1.5}, DICE) == 10
    assert regret({0: None, 15: 1.0}, DICE) == 0
    assert regret({0: None}, DICE) is None


def test_line_of_a_report():
    line = str(OracleGap("entropy", 10, DICE))
    assert line == (
        "snapshot joint_0010 chosen by `entropy`; 20.0 Dice below the best of 4 snapshots "
        "(joint_0015), measured on test labels after the fact"
    )
    assert "by `last`; the best of 4 snapshots, measured" in str(OracleGap("last", 15, DICE))


def test_report_shows_it_below_the_table():
    gap = OracleGap("last", 10, DICE)
    report = Report({"adapt_d13": Row({}, {}, title="UDA d=13")}, selection={"adapt_d13": gap})
    line = f"UDA d=13: {gap}"
    assert report.to_text().splitlines()[-1] == line
    assert report.to_markdown().endswith(f" |\n\n{line}\n")
    assert report.to_results()["selection"]["adapt_d13"] == {
        **{"criterion": "last", "chosen": 10, "best": 15, "regret": 20.0},
        "dice_by_joint_update": {"0": 10.0, "5": 30.0, "10": 20.0, "15": 40.0},
        "measured_with": "test labels, after the fact",
    }
    assert Report({}).to_results()["selection"] == {}


def test_mean_dice_is_that_of_the_table():
    generator = np.random.default_rng(0)
    truths = [generator.integers(0, 5, (4, 6, 6)) for _ in range(3)]
    truths[0][truths[0] == 2] = 0  # a structure that one subject lacks
    predictions = [np.where(generator.random(t.shape) < 0.6, t, 0) for t in truths]
    expected = summarize(
        [score_subject(p, t, HEART) for p, t in zip(predictions, truths)]
    ).mean_dice
    assert mean_dice(predictions, truths, 5) == pytest.approx(expected)
