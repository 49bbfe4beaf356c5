"""A run's choice among its snapshots: what becomes the final model, and what is written down."""

import importlib.util
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from builders.training import watch_labels

from cmda_tf.errors import DataError, UsageError
from cmda_tf.evaluation.evaluate import evaluate
from cmda_tf.evaluation.settings import EvaluateSettings
from cmda_tf.files import read_json, write_json
from cmda_tf.model_selection.choice import (
    change_choice,
    complete,
    has_snapshots,
    read_selection,
    score_again,
    select,
)
from cmda_tf.model_selection.criteria import CRITERIA, SelectionSettings
from cmda_tf.model_selection.scoring import Scored
from cmda_tf.runs.run import open_run
from cmda_tf.runs.weights import digest
from cmda_tf.snapshots import SnapshotsSettings, main
from cmda_tf.training.adabn import adapt_statistics
from cmda_tf.training.adversarial import adapt
from cmda_tf.training.loop import Loop
from cmda_tf.training.phases import AdabnPhase, AdaptPhase
from cmda_tf.training.setup import source_run

SNAPSHOTS = {"joint_updates": 3, "snapshot_every": 2, "dam_learning_rate": 1e-2}  # 0, 2 and 3


@pytest.fixture(scope="module")
def finished(tiny, dataset, untraced):
    """A run that chose its last snapshot."""
    return untraced(adapt, tiny(AdaptPhase, name="chosen", **SNAPSHOTS), dataset)


@pytest.fixture
def run(finished, tmp_path):
    """A copy of the run, to be changed."""
    folder = tmp_path / "runs" / "chosen"
    shutil.copytree(finished.folder, folder)
    return open_run(folder)


@pytest.fixture
def watched(monkeypatch):
    """Target labels and test subjects must not be read."""
    labels = watch_labels(monkeypatch)
    yield
    assert all(name.startswith("mr") for name in labels), labels


def _scored(**values):
    """Three snapshots with the values of each criterion."""
    return [
        Scored(update, {}, {name: value[n] for name, value in values.items()})
        for n, update in enumerate((0, 5, 10))
    ]


def test_choice_is_the_snapshot_with_the_highest_value():
    scored = _scored(entropy=(-0.3, -0.1, -0.2), last=(0, 5, 10), critic_distance=(None, -2, -3))
    assert select("entropy", scored).chosen == 5
    assert select("last", scored).chosen == 10
    assert select("critic_distance", scored).chosen == 5
    with pytest.raises(DataError, match="source_shapes: no snapshot has a value"):
        select("source_shapes", scored)


def test_run_writes_down_all_criteria_of_all_snapshots(finished):
    record = read_json(finished.folder / "selection.json")
    assert record["criterion"] == "last" and record["chosen"] == 3
    assert [snapshot["update"] for snapshot in record["snapshots"]] == [0, 2, 3]
    for snapshot in record["snapshots"]:
        values = snapshot["criteria"]
        assert list(values) == list(CRITERIA)
        assert values["last"] == snapshot["update"]
        distance = snapshot["metrics"].get("distance")
        assert values["critic_distance"] == (None if distance is None else -distance)
        assert -np.log(5) <= values["entropy"] < 0 < values["mutual_information"] <= np.log(5)
        assert 0 < values["neighborhood_density"] <= np.log(2047)
        assert 0 <= values["adabn_agreement"] <= 1 and values["source_shapes"] < 0
    assert record["snapshots"][0]["metrics"] == {}
    assert set(record["snapshots"][1]["metrics"]) == {"distance", "dam_loss", "entropy"}
    agreements = [snapshot["criteria"]["adabn_agreement"] for snapshot in record["snapshots"]]
    assert agreements[0] == 1 and max(agreements[1:]) < 1  # before the first update it is AdaBN


def test_chosen_start_is_adabn_and_changing_back_is_last(
    run, finished, tiny, dataset, untraced, watched
):
    """Both choices have a model that is known from elsewhere."""
    adabn = untraced(adapt_statistics, tiny(AdabnPhase), dataset)
    selection = untraced(change_choice, run, dataset, "adabn_agreement")
    assert selection.chosen == 0 and read_selection(run) == selection
    changed = open_run(run.folder)
    assert changed.record.part(SelectionSettings).select == "adabn_agreement"
    assert digest(changed.weights()) == digest(adabn.weights())
    untraced(change_choice, changed, dataset, "last")
    again = open_run(run.folder)
    assert digest(again.weights()) == digest(finished.weights()) and again.record == run.record
    assert read_selection(again) == read_selection(finished)


def test_training_with_select_makes_its_choice_final(tiny, dataset, untraced):
    """Without refreshed statistics the final DAM is the snapshot to the bit."""
    changes = {"name": "nearest", "select": "critic_distance", "refresh_statistics": False}
    settings = tiny(AdaptPhase, **changes, **SNAPSHOTS)
    run = untraced(adapt, settings, dataset)
    kept = {n: dict(np.load(run.folder / f"snapshots/joint_000{n}.npz")) for n in (2, 3)}
    nearest = min(kept, key=lambda n: kept[n]["metric/distance"])
    assert read_selection(run).chosen == nearest
    weights = run.weights()
    for name, value in kept[nearest].items():
        if not name.startswith("metric/"):
            np.testing.assert_array_equal(weights[name], value, err_msg=name)
    with pytest.raises(UsageError, match=r"nearest holds a run with select='critic_distance'"):
        adapt(tiny(AdaptPhase, **{**changes, "select": "last"}, **SNAPSHOTS), dataset)


@pytest.mark.slow
def test_killed_run_ends_with_the_same_snapshots_and_choice(
    tiny, dataset, finished, untraced, monkeypatch
):
    settings = tiny(AdaptPhase, name="killed", joint_checkpoint_every=1, **SNAPSHOTS)
    save, stops = Loop.save, [2, 3]

    def killed(self, counter, number, images):
        if counter == "joint" and number in stops:  # the snapshot is there, no checkpoint of it
            stops.remove(number)
            raise RuntimeError("killed")
        return save(self, counter, number, images)

    monkeypatch.setattr(Loop, "save", killed)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="killed"):
            untraced(adapt, settings, dataset)
    run = untraced(adapt, settings, dataset)
    assert not stops
    for name in ("selection.json", *(f"snapshots/joint_000{n}.npz" for n in (0, 2, 3))):
        actual, expected = (run.folder / name, finished.folder / name)
        if name.endswith(".json"):
            assert actual.read_bytes() == expected.read_bytes()
        else:
            with np.load(actual) as a, np.load(expected) as b:
                assert digest(dict(a)) == digest(dict(b))
    assert len(list((run.folder / "snapshots").iterdir())) == 3


def test_criteria_that_came_later_are_scored_on_request(run, dataset, untraced, watched):
    record = read_json(run.folder / "selection.json")
    for snapshot in record["snapshots"]:
        del snapshot["criteria"]["source_shapes"]
    before = read_selection(run)
    write_json(run.folder / "selection.json", record)
    assert not complete(read_selection(run))
    assert complete(untraced(score_again, run, dataset))
    assert read_selection(run) == before


@pytest.mark.parametrize(
    "change",
    [
        lambda v: v.update(chosen=999),
        lambda v: v.update(criterion="dice"),
        lambda v: v.update(snapshots=None),
        lambda v: v["snapshots"][0].update(update=0.5),
        lambda v: v["snapshots"][0].update(criteria=[]),
        lambda v: v["snapshots"][0]["criteria"].update(source_shapes="high"),
        lambda v: v["snapshots"][-1]["metrics"].update(distance=[1.0]),
    ],
)
def test_a_damaged_selection_is_refused(run, change):
    record = read_json(run.folder / "selection.json")
    change(record)
    write_json(run.folder / "selection.json", record)
    with pytest.raises(DataError, match=r"selection\.json: expected the selection of a run"):
        read_selection(run)


def test_command_prints_the_choices_and_changes_the_final_model(run, untraced, capsys):
    runs = str(run.folder.parent)
    main(SnapshotsSettings(runs=runs))
    out = capsys.readouterr().out
    head, *lines, end = out[out.index("snapshot") :].splitlines()[:5]
    assert head.split() == ["snapshot", *CRITERIA]
    assert [line.split()[0] for line in lines] == ["joint_0000", "joint_0002", "joint_0003"]
    assert lines[0].split()[5] == "N/A" and lines[0].split()[6] == "1*"
    assert lines[2].split()[1] == "3*" and end.startswith("final: joint_0003, by last")
    assert sum(line.count("*") for line in lines) == len(CRITERIA)
    untraced(main, SnapshotsSettings(runs=runs, name="chosen", criterion="adabn_agreement"))
    assert "final: joint_0000, by adabn_agreement" in capsys.readouterr().out
    assert open_run(run.folder).record.part(SelectionSettings).select == "adabn_agreement"


def test_command_names_what_is_missing(tmp_path, tiny):
    with pytest.raises(DataError, match="no finished adaptation with snapshots"):
        main(SnapshotsSettings(runs=str(tmp_path)))
    source = source_run(tiny(AdaptPhase)).folder
    with pytest.raises(DataError, match=r"source_mr: no finished adaptation with snapshots"):
        main(SnapshotsSettings(runs=str(source.parent), name="source_mr"))
    with pytest.raises(UsageError, match=r"^criterion: expected one of last, entropy"):
        SnapshotsSettings(criterion="dice")


def test_damaged_record_is_named(run):
    assert has_snapshots(run)
    write_json(run.folder / "selection.json", {"criterion": "last"})
    with pytest.raises(DataError, match=r"selection\.json: expected the selection of a run"):
        read_selection(run)
    (run.folder / "selection.json").unlink()
    assert not has_snapshots(run)


def test_report_says_how_far_the_choice_is_from_the_best(run, dataset, untraced):
    settings = EvaluateSettings(runs=str(run.folder.parent))
    report = untraced(evaluate, settings)
    ((id, row),) = report.rows.items()
    assert (id, row.title) == ("chosen", "UDA d=13 (chosen)")
    actual = report.selection[id]
    assert list(actual.dice) == [0, 2, 3]
    # What was measured for the chosen snapshot is what the table says of the final model.
    assert actual.dice[3] == pytest.approx(row.mean_dice)
    assert f"\n{row.title}: snapshot joint_0003 chosen by `last`; " in report.to_text()
    results = read_json(run.folder.parent / "results.json")
    assert results["selection"][id]["regret"] == max(actual.dice.values()) - actual.dice[3]
    assert results["rows"].keys() == report.rows.keys()


def test_snapshots_are_not_measured_when_not_asked_for(run, untraced, monkeypatch):
    monkeypatch.setattr(
        "cmda_tf.evaluation.evaluate.measure_oracle_gap", None
    )  # would raise if called
    settings = EvaluateSettings(runs=str(run.folder.parent), measure_snapshots=False)
    assert untraced(evaluate, settings).selection == {}


def test_benchmark_measures_every_criterion(run, untraced, tmp_path, capsys):
    path = Path(__file__).parents[2] / "benchmarks/selection.py"
    spec = importlib.util.spec_from_file_location("benchmark_selection", path)
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    folder, out = str(run.folder), tmp_path / "out.json"
    untraced(benchmark.main, benchmark.BenchmarkSettings(folders=(folder,), out=str(out)))
    measured = read_json(out)[folder]
    dice = measured["dice"]
    assert list(dice) == ["0", "2", "3"] and set(measured["criteria"]) == set(CRITERIA)
    last = measured["criteria"]["last"]
    assert last["values"] == {"0": 0, "2": 2, "3": 3}
    assert last["regret"] == max(dice.values()) - dice["3"]
    assert "means over 1 runs" in capsys.readouterr().out
    assert benchmark.reported(run) is None  # there is no report
    untraced(evaluate, EvaluateSettings(runs=str(run.folder.parent)))
    assert benchmark.reported(run) == {int(u): d for u, d in dice.items()}
    report = run.folder.parent / "results.json"
    older = (run.folder / "weights.npz").stat().st_mtime - 1
    os.utime(report, (older, older))
    assert benchmark.reported(run) is None  # the run may have changed since
    with pytest.raises(UsageError, match=r"^folders: expected folders"):
        benchmark.main(benchmark.BenchmarkSettings())
