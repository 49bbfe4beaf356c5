"""Run folders: what may differ when a run is resumed, and what a new start removes."""

import dataclasses

import pytest

from cmda_tf.errors import DataError, UsageError
from cmda_tf.files import read_json, write_json
from cmda_tf.old_settings import AdaptSettings, SelfTrainSettings, SourceSettings
from cmda_tf.runs.naming import run_name
from cmda_tf.runs.run import finished_run, open_run, start_run

INPUTS = {"prepared_folder": "a", "prepared_sha256": "0", "modality": "mr", "origin_sha256": None}


@pytest.fixture
def settings(tmp_path):
    return AdaptSettings(runs=str(tmp_path), width=0.0625)


def _finish(run):
    for name in ("model.keras", "weights.npz", "selection.json"):
        (run.folder / name).write_bytes(b"x")
    for name in ("checkpoints", "logs", "snapshots"):
        (run.folder / name).mkdir()


@pytest.mark.parametrize(
    ("phase", "settings", "name"),
    [
        ("source", SourceSettings(), "source_mr"),
        ("source", SourceSettings(modality="ct"), "source_ct"),
        ("source", SourceSettings(source="ct", target="mr"), "source_ct"),
        ("finetune", SourceSettings(), "finetune_ct"),
        ("adapt", AdaptSettings(depth=21), "adapt_d21"),
        ("adabn", AdaptSettings(), "adabn_d13"),
        ("selftrain", SelfTrainSettings(), "selftrain_d13"),
    ],
)
def test_default_names(phase, settings, name):
    assert run_name(phase, settings) == name


def test_new_run_holds_its_settings(settings, config):
    run = start_run("adapt", settings, config, INPUTS)
    assert not run.finished and run.folder.name == "adapt_d13"
    record = read_json(run.folder / "settings.json")
    assert record["phase"] == "adapt" and record["inputs"] == INPUTS
    assert AdaptSettings.from_dict(record["settings"]) == settings
    assert open_run(run.folder).config == config


def test_what_does_not_decide_the_result_may_change(settings, config):
    _finish(start_run("adapt", settings, config, INPUTS))
    changes = {
        "origin": "moved",
        "log_every": 3,
        "checkpoint_every": 4,
        "joint_checkpoint_every": 5,
        "data": "x",
    }
    again = dataclasses.replace(settings, prepared="elsewhere", **changes)
    run = start_run("adapt", again, config, {**INPUTS, "prepared_folder": "elsewhere"})
    assert run.finished and (run.folder / "checkpoints").is_dir()
    assert read_json(run.folder / "settings.json")["settings"]["log_every"] == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"clip": 0.01}, r"clip=0\.03, now it is 0\.01"),
        ({"taps": (13, 33)}, r"taps=\[13, 21, 25, 31, 33\], now it is \[13, 33\]"),
        ({"width": 0.25}, r"width=0\.0625, now it is 0\.25"),
        ({"seed": 7}, r"seed=0, now it is 7"),
        ({"snapshot_every": 2}, r"snapshot_every=10, now it is 2"),
        ({"select": "entropy"}, r"select='source_shapes', now it is 'entropy'"),
        ({"depth": 21, "name": "adapt_d13"}, r"depth=13, now it is 21"),
    ],
)
def test_other_settings_are_refused_by_name(settings, config, change, message):
    run = start_run("adapt", settings, config, INPUTS)
    changed = dataclasses.replace(settings, **change)
    config = dataclasses.replace(config, width=changed.width, seed=changed.seed)
    before = (run.folder / "settings.json").read_bytes()
    with pytest.raises(UsageError, match=rf"adapt_d13 holds a run with {message}; --noresume"):
        start_run("adapt", changed, config, INPUTS)
    assert (run.folder / "settings.json").read_bytes() == before


def test_a_setting_that_came_later_had_its_default(settings, config):
    run = start_run("adapt", settings, config, INPUTS)
    record = read_json(run.folder / "settings.json")
    del record["settings"]["critic_norm"]
    write_json(run.folder / "settings.json", record)
    changed = dataclasses.replace(settings, critic_norm="layer")
    with pytest.raises(UsageError, match="critic_norm='batch', now it is 'layer'"):
        start_run("adapt", changed, config, INPUTS)
    start_run("adapt", settings, config, INPUTS)
    assert read_json(run.folder / "settings.json")["settings"]["critic_norm"] == "batch"


@pytest.mark.parametrize("name", ["prepared_sha256", "origin_sha256"])
def test_other_data_or_another_source_model_is_refused(settings, config, name):
    start_run("adapt", settings, config, INPUTS)
    with pytest.raises(UsageError, match=rf"{name}=.*, now it is 'new'"):
        start_run("adapt", settings, config, {**INPUTS, name: "new"})


def test_another_phase_under_the_same_name_is_refused(settings, config):
    """AdaBN and adaptation have the same settings; one's result must not pass for the other's."""
    named = dataclasses.replace(settings, name="mine")
    _finish(start_run("adabn", named, config, INPUTS))
    with pytest.raises(UsageError, match="mine holds a run with phase='adabn', now it is 'adapt'"):
        start_run("adapt", named, config, INPUTS)
    assert open_run(settings.runs + "/mine").phase == "adabn"


def test_noresume_removes_what_was_there(settings, config):
    run = start_run("adapt", settings, config, INPUTS)
    _finish(run)
    (run.folder / "notes.txt").write_text("mine")
    anew = start_run("adapt", dataclasses.replace(settings, resume=False), config, INPUTS)
    assert not anew.finished
    assert sorted(p.name for p in anew.folder.iterdir()) == ["notes.txt", "settings.json"]


def test_run_to_build_on_must_be_finished(settings, config):
    run = start_run("adapt", settings, config, INPUTS)
    with pytest.raises(DataError, match=r"adapt_d13: no finished run here; this makes it: type me"):
        finished_run(run.folder, "type me")
    _finish(run)
    assert finished_run(run.folder, "type me").record == run.record


def test_settings_of_another_program_are_named(tmp_path):
    write_json(tmp_path / "settings.json", ["not", "ours"])
    with pytest.raises(DataError, match=r"settings\.json: not the settings of a run"):
        open_run(tmp_path)


def changed(record, part, name, value):
    return {**record, part: {**record[part], name: value}}


@pytest.mark.parametrize(
    ("part", "name", "value", "words"),
    [
        ("settings", "depth", 12, "--depth: 12 does not end a block"),
        ("settings", "depth", "13", "--depth: expected int, found '13'"),
        ("settings", "source", None, "--source: expected str, found None"),
        ("settings", "taps", [13, 2.5], r"--taps: expected tuple\[int, ...\], found \(13, 2.5\)"),
        ("inputs", "modality", 3, "modality: expected str, found 3"),
        ("model", "size", 10**9, "size: expected 16 to 512, found 1000000000"),
        ("model", "size", 20, "size: expected a multiple of 8, found 20"),
        ("model", "classes", "5", "classes: expected 2 to 255, found '5'"),
        ("model", "width", 1e6, "width: the model has another one than the settings"),
        ("model", "depth", 13, "unexpected keyword argument 'depth'"),
    ],
)
def test_damaged_settings_are_refused(settings, config, part, name, value, words):
    run = start_run("adapt", settings, config, INPUTS)
    write_json(run.folder / "settings.json", changed(run.record, part, name, value))
    with pytest.raises(DataError, match=rf"settings\.json: not the settings of a run .*{words}"):
        open_run(run.folder)


@pytest.mark.parametrize("part", ["phase", "settings", "inputs", "model"])
def test_missing_parts_of_settings_are_refused(settings, config, part):
    run = start_run("adapt", settings, config, INPUTS)
    for wrong in ({**run.record, part: [1]}, {k: v for k, v in run.record.items() if k != part}):
        write_json(run.folder / "settings.json", wrong)
        with pytest.raises(DataError, match="not the settings of a run"):
            open_run(run.folder)


def test_settings_that_came_after_a_run_have_their_defaults(settings, config):
    run = start_run("adapt", settings, config, INPUTS)
    old = {k: v for k, v in run.record["settings"].items() if k != "critic_norm"}
    write_json(run.folder / "settings.json", {**run.record, "settings": {**old, "gone": 1}})
    assert open_run(run.folder).record["settings"]["critic_norm"] == "batch"


def test_a_finished_run_keeps_the_versions_that_made_it(settings, config):
    run = start_run("adapt", settings, config, INPUTS)
    old = {"cmda_tf": "0.0.1", "tensorflow": "2.0"}
    write_json(run.folder / "settings.json", {**run.record, "versions": old})
    _finish(run)
    assert start_run("adapt", settings, config, INPUTS).record["versions"] == old
    assert read_json(run.folder / "settings.json")["versions"] == old
    (run.folder / "weights.npz").unlink()  # not finished: this version goes on with it
    assert start_run("adapt", settings, config, INPUTS).record["versions"] == run.record["versions"]


@pytest.mark.parametrize(
    "wrong", [[], {"settings": []}, {"settings": {"depth": 13}, "model": None}]
)
def test_a_damaged_record_of_the_same_run_is_a_data_error(settings, config, wrong):
    run = start_run("adapt", settings, config, INPUTS)
    write_json(run.folder / "settings.json", wrong)
    with pytest.raises(DataError, match=r"adapt_d13.settings\.json: not the settings of a run"):
        start_run("adapt", settings, config, INPUTS)
    start_run("adapt", dataclasses.replace(settings, resume=False), config, INPUTS)
