"""What a run writes down: there and back, and what is refused."""

import pytest
from builders.runs import write_run

from cmda_tf.errors import DataError
from cmda_tf.files import read_json, write_json
from cmda_tf.inference.settings import StatisticsSettings
from cmda_tf.models.settings import DamSettings
from cmda_tf.runs.record import RunRecord, RunSettings, crop_warning, read_record
from cmda_tf.runs.run import open_run
from cmda_tf.training.phases import AdaptPhase, SourcePhase
from cmda_tf.training.settings import CriticSettings


@pytest.fixture
def run(tmp_path):
    return write_run(AdaptPhase.of(runs=str(tmp_path), depth=21, title="T", seed=3))


def test_there_and_back(run):
    record = read_record(run.folder)
    assert record == run.record == RunRecord.from_dict(record.to_dict())
    assert (record.phase, record.depth, record.model.seed) == ("adapt", 21, 3)
    assert (record.source, record.target) == ("mr", "ct")
    called = record.part(RunSettings)
    assert (called.title, called.name) == ("T", None)
    assert record.part(DamSettings) == DamSettings(21)
    assert record.part(CriticSettings).clip == 0.03


def test_a_part_that_the_phase_does_not_have_is_its_defaults(tmp_path):
    record = write_run(SourcePhase.of(runs=str(tmp_path))).record
    assert record.depth is None
    assert record.part(StatisticsSettings) == StatisticsSettings()


def test_what_other_versions_had_is_passed_over(run):
    values = run.record.to_dict()
    values["settings"]["dam"]["gone"] = 1
    del values["settings"]["critic"]["critic_norm"]
    write_json(run.folder / "settings.json", values)
    record = open_run(run.folder).record
    assert record.depth == 21 and record.part(CriticSettings).critic_norm == "batch"


@pytest.mark.parametrize("crop", ["label", "volume", None])
def test_an_unknown_crop_is_none_from_end_to_end(tmp_path, crop):
    run = write_run(AdaptPhase.of(runs=str(tmp_path)), crop=crop)
    assert read_json(run.folder / "settings.json")["inputs"]["crop"] == crop
    assert open_run(run.folder).record.inputs.crop == crop
    warning = crop_warning("ct", crop)
    assert (warning is None) == (crop == "volume")
    assert warning is None or "the images of ct for training were cropped" in warning


def changed(record, path, value):
    """JSON values of a record with one of them changed."""
    values = inner = record.to_dict()
    *parts, last = path.split("/")
    for part in parts:
        inner = inner[part]
    inner[last] = value
    return values


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("format", 1, "format 1, this version reads 2: runs of 0.1 are to be trained again"),
        ("phase", "sauce", "phase: expected one of source, finetune, .*; found 'sauce'"),
        ("settings/dam/depth", 12, "depth: 12 does not end a block"),
        ("settings/dam/depth", "13", "depth: expected int, found '13'"),
        ("settings/data/source", None, "source: expected str, found None"),
        ("settings/run/title", 3, "title: expected "),
        ("inputs/modality", 3, "modality: expected str, found 3"),
        ("inputs/crop", "unknown", "crop: expected label, volume or null, found 'unknown'"),
        ("inputs/spacing_mm", 0, "spacing_mm: "),
        ("inputs/init_from", 1, "init_from: expected "),
        ("model/size", 10**9, "size: expected 16 to 512, found 1000000000"),
        ("model/size", 20, "size: expected a multiple of 8, found 20"),
        ("model/classes", "5", "classes: expected 2 to 255, found '5'"),
        ("model/classes", 6, "expected 5 structures, found 4"),
        ("model/width", 2.0, "width: the model has another one than the settings"),
        ("model/width", 1e6, "width: expected at most 4"),
        ("model/seed", 5, "seed: the model has another one than the settings"),
        ("model/depth", 13, "unexpected keyword argument 'depth'"),
    ],
)
def test_damaged_values_are_refused(run, path, value, words):
    write_json(run.folder / "settings.json", changed(run.record, path, value))
    with pytest.raises(DataError, match=rf"settings\.json: not the settings of a run .*{words}"):
        open_run(run.folder)


def test_a_damaged_part_is_refused_when_it_is_asked_for(run):
    """The phases know all parts; whoever reads a record asks for those that it knows."""
    values = changed(run.record, "settings/critic/taps", [13, 2.5])
    write_json(run.folder / "settings.json", values)
    message = (
        r"adapt_d21/settings\.json: not the settings of a run "
        r"\(taps: expected tuple\[int, ...\], found \(13, 2\.5\)\)"
    )
    with pytest.raises(DataError, match=message):
        open_run(run.folder).part(CriticSettings)


@pytest.mark.parametrize("part", ["phase", "settings", "inputs", "model", "versions"])
def test_missing_parts_are_refused(run, part):
    values = run.record.to_dict()
    for record in ({k: v for k, v in values.items() if k != part}, {**values, part: [1]}):
        write_json(run.folder / "settings.json", record)
        with pytest.raises(DataError, match="not the settings of a run"):
            open_run(run.folder)


def test_a_flat_record_of_0_1_says_what_to_do(tmp_path):
    write_json(tmp_path / "settings.json", {"phase": "source", "settings": {"width": 0.5}})
    with pytest.raises(DataError, match=r"runs of 0\.1 are to be trained again"):
        open_run(tmp_path)


def test_settings_of_another_program_are_named(tmp_path):
    write_json(tmp_path / "settings.json", ["not", "ours"])
    with pytest.raises(DataError, match=r"settings\.json: not the settings of a run"):
        open_run(tmp_path)
