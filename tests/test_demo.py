"""The demo's order of work and its closing sentences, without any training."""

from types import SimpleNamespace

import pytest

from cmda_tf import demo
from cmda_tf.evaluation import evaluate
from cmda_tf.training.phases import AdabnPhase, AdaptPhase, SourcePhase

DICE = {"source_mr": 80.0, "source_mr/noDA": 20.0, "adabn_d13": 50.0, "adapt_d13": 61.25}
PHASES = (SourcePhase, AdabnPhase, AdaptPhase)


@pytest.fixture
def done(monkeypatch):
    """What the demo has asked for, in order."""
    done = []
    rows = {id: SimpleNamespace(mean_dice=dice) for id, dice in DICE.items()}
    report = SimpleNamespace(rows=rows, to_text=lambda: "the table\n")
    monkeypatch.setattr(demo, "run_phase", done.append)
    monkeypatch.setattr(evaluate, "evaluate", lambda settings: done.append(settings.runs) or report)
    return done


def test_phases_then_evaluation_then_the_measured_conclusion(done, capsys):
    phases = [phase.of(runs="there") for phase in PHASES]
    demo.main(demo.DemoSettings(), *phases)
    assert done == [*phases, "there"]
    printed = capsys.readouterr().out
    assert "$ python -m cmda_tf.train --phase=adapt --depth=13 --runs=there\n" in printed
    assert "the table\n" in printed
    assert "80.0 mean Dice on unseen MR and 20.0 on CT." in printed
    assert "(AdaBN) bring it to 50.0" in printed and "(d = 13) to 61.2: +11.2 points" in printed


def test_conclusion_names_the_modalities(monkeypatch):
    rows = {id.replace("mr", "ct"): SimpleNamespace(mean_dice=dice) for id, dice in DICE.items()}
    text = demo._conclusion(rows, *(phase.of(source="ct", target="mr") for phase in PHASES))
    assert "trained on CT phantoms reaches 80.0 mean Dice on unseen CT and 20.0 on MR." in text
    assert "Without one MR label" in text


def test_report_only_trains_nothing(done):
    demo.main(demo.DemoSettings(report_only=True), *(phase() for phase in PHASES))
    assert done == ["runs"]
