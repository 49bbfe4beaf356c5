"""The demo's order of work and its closing sentences, without any training."""

from types import SimpleNamespace

import pytest

from cmda_tf import demo
from cmda_tf.old_settings import AdaptSettings, SourceSettings

DICE = {"Seg-MRI": 80.0, "noDA": 20.0, "AdaBN d=13": 50.0, "UDA d=13": 61.25}


@pytest.fixture
def done(monkeypatch):
    """What the demo has asked for, in order."""
    done = []
    rows = {title: SimpleNamespace(mean_dice=dice) for title, dice in DICE.items()}
    report = SimpleNamespace(rows=rows, to_text=lambda: "the table\n")
    monkeypatch.setattr(demo, "train", lambda phase, settings: done.append((phase, settings)))
    monkeypatch.setattr(demo, "evaluate", lambda settings: done.append(settings.runs) or report)
    return done


def test_phases_then_evaluation_then_the_measured_conclusion(done, capsys):
    source, adaptation = SourceSettings(runs="there"), AdaptSettings(runs="there")
    demo.main(demo.DemoSettings(), source, adaptation)
    assert done == [("source", source), ("adabn", adaptation), ("adapt", adaptation), "there"]
    printed = capsys.readouterr().out
    assert "$ python -m cmda_tf.train --phase=adapt --depth=13 --runs=there\n" in printed
    assert "the table\n" in printed
    assert "80.0 mean Dice on unseen MR and 20.0 on CT." in printed
    assert "(AdaBN) bring it to 50.0" in printed and "(d = 13) to 61.2: +11.2 points" in printed


def test_conclusion_names_the_modalities(monkeypatch):
    rows = {title: SimpleNamespace(mean_dice=dice) for title, dice in DICE.items()}
    rows["Seg-CT"] = rows.pop("Seg-MRI")
    told = demo._conclusion(rows, AdaptSettings(source="ct", target="mr"))
    assert "trained on CT phantoms reaches 80.0 mean Dice on unseen CT and 20.0 on MR." in told
    assert "Without one MR label" in told


def test_report_only_trains_nothing(done):
    demo.main(demo.DemoSettings(report_only=True), SourceSettings(), AdaptSettings())
    assert done == ["runs"]
