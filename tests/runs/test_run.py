"""Run folders: what may differ when a run is resumed, and what a new start removes."""

import pytest
from builders.runs import write_run

from cmda_tf.errors import DataError, UsageError
from cmda_tf.files import read_json, write_json
from cmda_tf.models.settings import ModelConfig
from cmda_tf.runs.run import find_runs, finished_run, open_run
from cmda_tf.training.phases import AdabnPhase, AdaptPhase


@pytest.fixture
def settings(tmp_path):
    return AdaptPhase.of(runs=str(tmp_path), width=0.0625)


def _finish(run):
    for name in ("model.keras", "weights.npz", "selection.json"):
        (run.folder / name).write_bytes(b"x")
    for name in ("checkpoints", "logs", "snapshots"):
        (run.folder / name).mkdir()


def test_new_run_holds_its_settings(settings):
    run = write_run(settings)
    assert not run.finished and run.folder.name == "adapt_d13"
    record = read_json(run.folder / "settings.json")
    assert record["phase"] == "adapt" and record["inputs"] == run.record.inputs.to_dict()
    assert record["inputs"]["prepared_sha256"] == "of the data"
    assert AdaptPhase.from_dict(record["settings"]) == settings
    assert open_run(run.folder).record == run.record
    assert open_run(run.folder).config == run.config == ModelConfig(16, width=0.0625)


def test_what_does_not_decide_the_result_may_change(settings):
    _finish(write_run(settings))
    changes = {
        "init_from": "moved",
        "log_every": 3,
        "checkpoint_every": 4,
        "joint_checkpoint_every": 5,
        "data": "x",
    }
    run = write_run(settings.changed(prepared="elsewhere", **changes), data="elsewhere")
    assert run.finished and (run.folder / "checkpoints").is_dir()
    record = read_json(run.folder / "settings.json")
    assert record["settings"]["loop"]["log_every"] == 3
    assert record["inputs"]["prepared_folder"] == "elsewhere"


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
def test_other_settings_are_refused_by_name(settings, change, message):
    run = write_run(settings)
    before = (run.folder / "settings.json").read_bytes()
    with pytest.raises(UsageError, match=rf"^resume: .*adapt_d13 holds a run with {message}; not"):
        write_run(settings.changed(**change))
    assert (run.folder / "settings.json").read_bytes() == before


def test_a_setting_that_came_later_had_its_default(settings):
    run = write_run(settings)
    record = read_json(run.folder / "settings.json")
    del record["settings"]["critic"]["critic_norm"]
    write_json(run.folder / "settings.json", record)
    with pytest.raises(UsageError, match="critic_norm='batch', now it is 'layer'"):
        write_run(settings.changed(critic_norm="layer"))
    write_run(settings)
    record = read_json(run.folder / "settings.json")
    assert record["settings"]["critic"]["critic_norm"] == "batch"


def test_other_data_or_another_source_model_is_refused(settings):
    run = write_run(settings)
    with pytest.raises(UsageError, match="prepared_sha256='of the data', now it is 'new'"):
        write_run(settings, sha256="new")
    record = read_json(run.folder / "settings.json")
    record["inputs"]["init_sha256"] = "older"
    write_json(run.folder / "settings.json", record)
    with pytest.raises(UsageError, match="init_sha256='older', now it is 'of its weights'"):
        write_run(settings)


def test_another_crop_of_the_same_name_is_refused(settings):
    write_run(settings)
    with pytest.raises(UsageError, match="crop='volume', now it is None"):
        write_run(settings, crop=None)


def test_another_phase_under_the_same_name_is_refused(settings, tmp_path):
    """AdaBN's result must not pass for the adaptation's."""
    _finish(write_run(AdabnPhase.of(runs=str(tmp_path), width=0.0625, name="mine")))
    with pytest.raises(UsageError, match="mine holds a run with phase='adabn', now it is 'adapt'"):
        write_run(settings.changed(name="mine"))
    assert open_run(tmp_path / "mine").phase == "adabn"


def test_an_adabn_run_knows_nothing_of_the_critic(tmp_path):
    run = write_run(AdabnPhase.of(runs=str(tmp_path)))
    assert "critic" not in run.record.settings and "clip" not in str(run.record.to_dict())


def test_noresume_removes_what_was_there(settings):
    run = write_run(settings)
    _finish(run)
    (run.folder / "notes.txt").write_text("mine")
    anew = write_run(settings.changed(resume=False))
    assert not anew.finished
    assert sorted(p.name for p in anew.folder.iterdir()) == ["notes.txt", "settings.json"]


def test_run_to_build_on_must_be_finished(settings, tmp_path):
    run = write_run(settings)
    with pytest.raises(DataError, match="adapt_d13: no finished run here") as caught:
        finished_run(run.folder, "adapt")
    assert caught.value.made_by == "adapt" and not list(find_runs(tmp_path))
    _finish(run)
    assert finished_run(run.folder, "adapt").record == run.record
    assert [actual.folder for actual in find_runs(tmp_path)] == [run.folder]


def test_a_finished_run_keeps_the_versions_that_made_it(settings):
    run = write_run(settings)
    old = {"cmda_tf": "0.0.1", "tensorflow": "2.0"}
    write_json(run.folder / "settings.json", {**run.record.to_dict(), "versions": old})
    _finish(run)
    assert write_run(settings).record.versions == old
    assert read_json(run.folder / "settings.json")["versions"] == old
    (run.folder / "weights.npz").unlink()  # not finished: this version goes on with it
    assert write_run(settings).record.versions == run.record.versions


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ([], "attribute 'get'"),
        ({"settings": []}, "format None, this version reads 2"),
        ({"settings": {"depth": 13}, "model": None}, "format None, this version reads 2"),
        (
            lambda record: record["settings"]["critic"].update(taps=[13, 2.5]),
            r"taps: expected tuple\[int, ...\], found \(13, 2.5\)",
        ),
        (
            lambda record: record["settings"].update(a=record["settings"].pop("adversarial")),
            "unknown setting 'a'",
        ),
    ],
)
def test_a_damaged_record_of_the_same_run_is_a_data_error(settings, wrong, words):
    run = write_run(settings)
    if callable(wrong):
        record = read_json(run.folder / "settings.json")
        wrong(record)
        wrong = record
    write_json(run.folder / "settings.json", wrong)
    named = r"adapt_d13.settings\.json: not the settings of a run"
    with pytest.raises(DataError, match=rf"{named} .*{words}.*; not resuming replaces it"):
        write_run(settings)
    write_run(settings.changed(resume=False))
