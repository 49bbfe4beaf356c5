"""Plans: the rows' flagfiles, their order, and what is refused."""

import json
import os
from pathlib import Path

import pytest
from builders.runs import write_run

from cmda_tf.errors import DataError, UsageError
from cmda_tf.reproduction.plan import (
    OUR_ROWS,
    PAPER_ROWS,
    check_finished,
    make_plan,
    seed_jobs,
    with_seed,
)

FOLDER = Path(__file__).parents[2] / "flags" / "rows"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path_factory, monkeypatch):
    """A working folder without the phantom, which a run's data would be compared with."""
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))


def test_rows_of_the_paper_then_ours():
    plan = make_plan([], FOLDER, [*PAPER_ROWS, *OUR_ROWS], [])
    assert [step.name for step in plan] == [
        "source_mr", "source_ct", "finetune_ct", "adabn_d13", "adabn_d21", "adabn_d31",
        "adapt_d13", "adapt_d21", "adapt_d31", "uda_one_level", "uda_tuned",
        "source_plus", "adabn_plus", "uda_from_plus", "uda_plus",
    ]  # fmt: skip
    starts = [None, None, *["source_mr"] * 9, None, *["source_plus"] * 2, "uda_from_plus"]
    assert [step.settings.init_from for step in plan] == starts


def test_every_flagfile_is_a_row():
    names = sorted(path.stem for path in FOLDER.glob("*.cfg"))
    assert len(make_plan([], FOLDER, names, [])) == len(names) and {*PAPER_ROWS, *OUR_ROWS} <= set(
        names
    )
    for path in FOLDER.glob("*.cfg"):
        assert path.read_text(encoding="utf-8").startswith("# ")


def test_every_row_of_adversarial_training_changes_the_base_in_one_thing():
    folder = FOLDER.parents[1] / "benchmarks/adversarial_settings"
    flagfile = (folder.parent / "adversarial_settings.cfg").read_text(encoding="utf-8").splitlines()
    shared = flagfile[flagfile.index("# The schedule that all rows share.") + 1 :]
    shared = shared[: shared.index("")]
    plan = make_plan(shared, folder, sorted(path.stem for path in folder.glob("*.cfg")), [])
    trainings = {s.name: s.settings.flat() for s in plan if s.settings.name == "adapt"}
    base = trainings.pop("base")
    several = {"both_rates": 2, "penalty": 2}  # what their titles say
    several |= {"critic20": 2}  # as many critic updates need fewer joint ones
    for name, settings in trainings.items():
        changed = [k for k in settings if settings[k] != base[k] and k not in ("name", "title")]
        assert len(changed) == several.get(name, 1), (name, changed)
    (rows,) = [line[7:].split(",") for line in flagfile if line[:7] == "--rows="]
    make_plan(shared, folder, rows, [])


def test_self_training_waits_for_its_adaptation():
    plan = make_plan([], FOLDER, ["selftrain_d13", "uda_d13", "seg_mri"], [])
    assert [step.name for step in plan] == ["source_mr", "adapt_d13", "selftrain_d13"]
    assert plan[-1].settings.init_from == "adapt_d13"


def test_origin_comes_before_what_starts_from_it(tmp_path):
    (tmp_path / "b.cfg").write_text("--phase=adapt\n--init_from=a\n--name=b\n")
    (tmp_path / "a.cfg").write_text("--phase=source\n--name=a\n")
    assert [s.row for s in make_plan([], tmp_path, ["b", "a"], [])] == ["a", "b"]
    (tmp_path / "a.cfg").write_text("--phase=adapt\n--init_from=b\n--name=a\n")
    with pytest.raises(UsageError, match="waits for itself"):
        make_plan([], tmp_path, ["b", "a"], [])


def test_row_wins_over_base_and_depths_are_added():
    plan = make_plan(["--depth=31", "--width=0.25"], FOLDER, ["adabn_d13"], [13, 5])
    assert [(s.name, s.settings.dam.depth) for s in plan] == [
        ("adabn_d13", 13), ("adapt_d13", 13), ("adabn_d5", 5), ("adapt_d5", 5),
    ]  # fmt: skip
    assert all(step.settings.network.width == 0.25 for step in plan)
    titled = make_plan([], FOLDER, ["seg_mri", "uda_tuned"], [21])
    assert {"uda_tuned", "adapt_d21", "adabn_d21"} < {step.name for step in titled}
    with pytest.raises(UsageError, match="depth: 12"):
        make_plan([], FOLDER, [], [12])


def test_commands_give_the_settings_back():
    base = ["--taps=13,33", "--noaugment", "--dam_learning_rate=1e-4"]
    step = make_plan(base, FOLDER, ["uda_d21"], [])[0]
    assert step.arguments == [
        "--phase=adapt", "--noaugment", "--depth=21", "--taps=13,33", "--dam_learning_rate=0.0001",
    ]  # fmt: skip
    again = make_plan(step.arguments, FOLDER, ["uda_d21"], [])[0]
    assert again == step


def test_seeds_move_training_and_phantom(tmp_path):
    step = make_plan([], FOLDER, ["seg_mri"], [])[0]
    moved = with_seed(step, 3, tmp_path).settings
    assert (moved.compute.seed, moved.data.phantom_seed) == (3, 3)
    assert moved.run.runs == str(tmp_path)
    fixed = make_plan(["--prepared=x"], FOLDER, ["seg_mri"], [])[0]
    assert with_seed(fixed, 3, tmp_path).settings.data.phantom_seed == 0


def jobs(folder, base, rows=("uda_d13", "seg_mri")):
    steps = [with_seed(step, 2, folder) for step in make_plan(base, FOLDER, rows, [])]
    return {job.name: job for job in seed_jobs(steps, folder)}


def test_jobs_of_a_seed_wait_for_data_and_origin(tmp_path):
    folder = tmp_path / "seed2"
    actual = jobs(folder, ["--data=d"])
    assert {name: sorted(job.needs) for name, job in actual.items()} == {
        "seed2/phantom": [],
        "seed2/prepare": ["seed2/phantom"],
        "seed2/run source_mr": ["seed2/prepare"],
        "seed2/run adapt_d13": ["seed2/prepare", "seed2/run source_mr"],
        "seed2/report": ["seed2/run adapt_d13", "seed2/run source_mr"],
    }
    assert actual["seed2/phantom"].arguments == (
        *("--out=d/phantom_seed2", "--subjects=20", "--seed=2"),
    )
    assert actual["seed2/prepare"].arguments == (
        *("--raw=d/phantom_seed2", "--prepared=d/phantom_seed2_prepared"),
        *("--size=64", "--spacing_mm=3.5", "--center_on_labels=mr"),
    )
    only = "--only=source_mr,adapt_d13"
    assert actual["seed2/report"].arguments == (f"--runs={folder}", only, "--published")
    assert actual["seed2/run adapt_d13"].log == folder / "logs" / "adapt_d13.log"


def test_the_longest_chain_begins_first(tmp_path):
    rows = ("seg_mri", "seg_ct", "seg_ct_stl", "plus_source", "plus_uda", "plus_selftrain")
    assert [name.split("/")[1] for name in jobs(tmp_path, ["--prepared=x"], rows)] == [
        *("run source_plus", "run source_mr", "run uda_from_plus"),
        *("run source_ct", "run finetune_ct", "run uda_plus", "report"),
    ]


def test_the_other_direction_has_prepared_data_of_its_own(tmp_path):
    base = ["--data=d", "--source=ct", "--target=mr"]
    actual = jobs(tmp_path, base, ("seg_mri", "uda_d13", "seg_ct_stl"))
    prepare = next(job for name, job in actual.items() if name.endswith("prepare"))
    assert prepare.arguments[:2] == (
        *("--raw=d/phantom_seed2", "--prepared=d/phantom_seed2_prepared_from_ct"),
    )
    assert prepare.arguments[-1] == "--center_on_labels=ct"
    assert {"run source_ct", "run finetune_mr"} < {name.split("/")[1] for name in actual}


def test_only_missing_runs_are_jobs_and_data_of_ones_own_is_not_made(tmp_path):
    (tmp_path / "source_mr").mkdir()
    (tmp_path / "source_mr/weights.npz").touch()
    names = [name.split("/")[1] for name in jobs(tmp_path, ["--prepared=x"])]
    assert names == ["run adapt_d13", "report"]
    (tmp_path / "adapt_d13").mkdir()
    (tmp_path / "adapt_d13/weights.npz").touch()
    assert [name.split("/")[1] for name in jobs(tmp_path, [])] == ["report"]
    rows = {"a": {"run": "source_mr"}, "b": {"run": "adapt_d13"}}
    (tmp_path / "results.json").write_text(json.dumps({"rows": rows}))
    os.utime(tmp_path / "results.json", (2e9, 2e9))
    assert not jobs(tmp_path, [])
    rows["c"] = {"run": "source_ct"}  # of a row that is not asked for
    (tmp_path / "results.json").write_text(json.dumps({"rows": rows}))
    assert [name.split("/")[1] for name in jobs(tmp_path, [])] == ["report"]
    del rows["c"]
    del rows["b"]  # a report that was begun before the run had finished
    (tmp_path / "results.json").write_text(json.dumps({"rows": rows}))
    assert [name.split("/")[1] for name in jobs(tmp_path, [])] == ["report"]
    rows["b"] = {"run": "adapt_d13"}
    (tmp_path / "results.json").write_text(json.dumps({"rows": rows}))
    os.utime(tmp_path / "source_mr/weights.npz", (2e9 + 1, 2e9 + 1))  # such as by cmda_tf.snapshots
    assert [name.split("/")[1] for name in jobs(tmp_path, [])] == ["report"]


def finished(folder, base=(), rows=("seg_mri", "uda_d13", "seg_ct_stl")):
    """Steps of runs that are done, with what they have written down."""
    steps = [with_seed(step, 0, folder) for step in make_plan(list(base), FOLDER, rows, [])]
    for age, step in enumerate(steps):
        weights = write_run(step.settings).folder / "weights.npz"
        weights.touch()
        os.utime(weights, (1e9 + age, 1e9 + age))
    return steps


def test_finished_runs_of_other_flags_are_refused(tmp_path):
    check_finished(finished(tmp_path))
    changed = [
        with_seed(s, 0, tmp_path) for s in make_plan(["--width=0.25"], FOLDER, ["uda_d13"], [])
    ]
    with pytest.raises(UsageError, match=r"adapt_d13 was made with width=0\.5, now it is 0\.25"):
        check_finished(changed)
    free = ["--log_every=3", "--data=elsewhere"]
    check_finished([with_seed(s, 0, tmp_path) for s in make_plan(free, FOLDER, ["uda_d13"], [])])
    older = tmp_path / "adapt_d13/settings.json"  # of a version without this setting
    record = json.loads(older.read_text(encoding="utf-8"))
    del record["settings"]["critic"]["critic_norm"]
    older.write_text(json.dumps(record), encoding="utf-8")
    plan = make_plan([], FOLDER, ["uda_d13"], [])
    check_finished([with_seed(step, 0, tmp_path) for step in plan])
    titled = [with_seed(s, 0, tmp_path) for s in make_plan(["--title=T"], FOLDER, ["uda_d13"], [])]
    with pytest.raises(UsageError, match="made with title=None, now it is 'T'"):
        check_finished(titled)
    check_finished([with_seed(s, 0, tmp_path / "none") for s in changed])  # not finished there


def test_finished_runs_of_other_data_are_refused(tmp_path, dataset):
    flag = [f"--prepared={dataset.folder}"]
    steps = finished(tmp_path, flag)
    path = tmp_path / "source_mr/settings.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    record["inputs"]["prepared_sha256"] = "of other data"
    path.write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(UsageError, match="source_mr was made with prepared_sha256='of other data'"):
        check_finished(steps)
    record["inputs"]["prepared_sha256"] = dataset.checksum()
    path.write_text(json.dumps(record), encoding="utf-8")
    check_finished(steps[:1])


def test_finished_runs_of_another_origin_are_refused(tmp_path):
    finished(tmp_path)
    plan = make_plan(["--init_from=source_plus", "--name=adapt_d13"], FOLDER, ["uda_d13"], [])
    with pytest.raises(UsageError, match="made with init_from='source_mr', now it is"):
        check_finished([with_seed(step, 0, tmp_path) for step in plan])


def test_a_run_whose_origin_is_gone_is_refused(tmp_path):
    steps = finished(tmp_path)
    (tmp_path / "source_mr/weights.npz").unlink()
    with pytest.raises(UsageError, match="adapt_d13 started from a source_mr that is not there"):
        check_finished(steps)
    check_finished(steps[1:2])  # its start is not among the rows: nothing would be trained anew


def test_a_run_from_an_older_origin_is_refused(tmp_path):
    steps = finished(tmp_path)
    os.utime(tmp_path / "source_mr/weights.npz", (2e9, 2e9))  # trained anew, or changed
    with pytest.raises(UsageError, match="adapt_d13 started from an older source_mr"):
        check_finished(steps[:2])


def test_bad_rows_are_named(tmp_path):
    with pytest.raises(DataError, match=r"none\.cfg: no such flagfile; rows there: adabn_d13"):
        make_plan([], FOLDER, ["none"], [])
    with pytest.raises(UsageError, match="more than one row makes the run 'source_mr'"):
        make_plan([], FOLDER, ["seg_mri", "seg_mri"], [])
    (tmp_path / "a.cfg").write_text("--phase=source\n--name=a\n--title=T\n")
    (tmp_path / "b.cfg").write_text("--phase=source\n--name=b\n--title=T\n")
    with pytest.raises(UsageError, match="more than one row makes the title 'T'"):
        make_plan([], tmp_path, ["a", "b"], [])
    (tmp_path / "a.cfg").write_text("--phase=other\n")
    with pytest.raises(UsageError, match=r"row a: --phase.*other"):
        make_plan([], tmp_path, ["a"], [])
    (tmp_path / "a.cfg").write_text("--depth=13\n")
    with pytest.raises(UsageError, match=r"row a: --phase: expected one of .*; found none"):
        make_plan([], tmp_path, ["a"], [])


def test_a_row_may_have_flags_of_its_phase_alone(tmp_path):
    (tmp_path / "a.cfg").write_text("--phase=source\n--critic_updates=5\n")
    with pytest.raises(UsageError, match="row a: --critic_updates: a flag of --phase=adapt, not"):
        make_plan([], tmp_path, ["a"], [])
    (tmp_path / "a.cfg").write_text("--phase=source\n")
    (step,) = make_plan(["--critic_updates=5"], tmp_path, ["a"], [])  # the base is for all rows
    assert step.arguments == ["--phase=source"]
