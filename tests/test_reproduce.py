"""`cmda_tf.reproduce`: order of work, what is not done again, failures, the report over seeds."""

import json
import sys
from pathlib import Path

import pytest
from builders.runs import write_run

from cmda_tf import reproduce
from cmda_tf.errors import UsageError
from cmda_tf.files import read_json
from cmda_tf.reproduce import ReproduceSettings
from cmda_tf.settings import leaves
from cmda_tf.training.phases import PHASES, SourcePhase

ROWS = Path(__file__).parents[1] / "flags/rows"
NAMES = ("AA", "LA-blood", "LV-blood", "LV-myo")
DICE = {"Seg-CT-STL": 80.0, "noDA": 40.0, "AdaBN d=13": 50.0, "UDA d=13": 60.0}
RUNS = {  # id, kind, depth
    "Seg-CT-STL": ("finetune_ct", "finetuned", None),
    "noDA": ("source_mr/noDA", "noDA", None),
    "AdaBN d=13": ("adabn_d13", "adabn", 13),
    "UDA d=13": ("adapt_d13", "adapt", 13),
}


def phases(**changes):
    """Settings of all phases, each with those changes that it has."""
    made = []
    for cls in PHASES.values():
        names = {name for name, _ in leaves(cls)}
        made.append(cls.of(**{k: v for k, v in changes.items() if k in names}))
    return made


def result(shift):
    """A seed's `results.json`, all rows but noDA shifted."""
    spread = {"dice_std": 0.0, "asd_std": 0.0, "asd_subjects": 4}
    return {
        "rows": {
            id: {
                "title": title,
                "kind": kind,
                "run": id.split("/")[0],
                "depth": depth,
                "init_from": "source_mr" if depth else None,
                "usual": True,
                "subjects": [1],
                "structures": {
                    n: {
                        "dice_mean": DICE[title] + shift * (title != "noDA"),
                        "asd_mean": 1.0,
                        **spread,
                    }
                    for n in NAMES
                },
            }
            for title, (id, kind, depth) in RUNS.items()
        },
        "meta": {"warnings": [], "versions": {"tensorflow": "x"}, "size": 64, "spacing_mm": 3.5},
        "selection": {"adapt_d13": {"criterion": "last", "regret": 1.0 + shift / 10}},
    }


@pytest.fixture
def jobs(monkeypatch):
    """All jobs of a call; its evaluations leave what they would."""
    given = []

    def run(jobs, workers):
        given.extend(jobs)
        for job in jobs:
            if job.module == "cmda_tf.evaluate":
                folder = job.log.parents[1]
                folder.mkdir(parents=True, exist_ok=True)
                seed = int(folder.name.removeprefix("seed"))
                (folder / "results.json").write_text(json.dumps(result(10 * seed)))
                for name in ("figure1.png", "figure1.pdf"):
                    (folder / name).write_bytes(b"figure of seed %d" % seed)

    monkeypatch.setattr(reproduce, "run_jobs", run)
    monkeypatch.setattr(sys, "argv", ["reproduce", "--seeds=0,1"])
    return given


def test_every_seed_is_trained_and_evaluated_then_all_reported(jobs, tmp_path, capsys):
    settings = ReproduceSettings(rows=("uda_d13", "seg_mri"), seeds=(0, 1), out=str(tmp_path))
    reproduce.main(settings, *phases(joint_updates=3))
    assert [job.name for job in jobs] == [
        f"seed{seed}/{name}"
        for seed in (0, 1)
        for name in ("phantom", "prepare", "run source_mr", "run adapt_d13", "report")
    ]
    runs = f"--runs={tmp_path / 'seed1'}"
    assert jobs[8].arguments == (
        *("--phase=adapt", runs, "--phantom_seed=1", "--seed=1", "--joint_updates=3"),
    )
    actual = read_json(tmp_path / "results.json")
    assert actual["rows"]["adapt_d13"]["structures"]["AA"]["dice_mean"] == 65
    assert actual["rows"]["adapt_d13"]["structures"]["AA"]["dice_std"] == 5
    assert actual["rows"]["adapt_d13"]["structures"]["AA"]["dice_seeds"] == 2
    lines = (tmp_path / "table.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0].endswith("dice_seeds,asd_mean,asd_std,asd_seeds,seeds")
    assert lines[1].startswith("Seg-CT-STL,AA,85.0,5.0,2,") and lines[1].endswith(",2,2")
    assert not (tmp_path / "subjects.csv").exists()
    assert actual["meta"]["seeds"] == [0, 1] and list(actual["by_seed"]) == ["0", "1"]
    assert actual["meta"]["command"] == "python -m cmda_tf.reproduce --seeds=0,1"
    gain = actual["gains"][0]
    assert gain["title"] == "UDA d=13" and gain["above_adabn"] == [10, 10]
    assert gain["share"] == [pytest.approx(20 / 40), pytest.approx(30 / 50)]
    printed = capsys.readouterr().out
    assert "UDA d=13: +10.0 (+10.0 to +10.0) points above AdaBN at its depth, 55%" in printed
    table = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert "UDA d=13 (paper)" in table and "DL-CT, Payer 2017 (paper)" in table
    assert "DL-MR and DL-CT as the paper cites them" in table
    assert (tmp_path / "depths.png").is_file() and (tmp_path / "depths.pdf").is_file()
    assert "UDA d=13: the snapshot chosen by `last` is 1.5 (1.0 to 2.0) Dice below" in printed


def test_report_tells_how_it_was_made_and_what_it_shows(jobs, tmp_path):
    out, report = tmp_path / "out", tmp_path / "results"
    options = {"rows": ("uda_d13", "seg_mri"), "seeds": (1,), "out": str(out)}
    settings = ReproduceSettings(**options, report=str(report))
    reproduce.main(settings, *phases(joint_updates=3))
    text = (report / "report.md").read_text(encoding="utf-8")
    assert text.startswith("# Table 1 on the phantom\n\n`python -m cmda_tf.reproduce --seeds=0,1`")
    assert "| UDA d=13 | 70.0±0.0 |" in text and "not show how well it does on patients" in text
    assert "python -m cmda_tf.train --phase=adapt --joint_updates=3\n" in text
    assert "(figure1.png)" in text and "(depths.png)" in text and "figure4" not in text
    for name in ("figure1.png", "figure1.pdf"):
        assert (report / name).read_bytes() == b"figure of seed 1"
    meta = read_json(report / "results.json")["meta"]
    assert "cores, " in meta["machine"]
    decided = meta["settings"]["adapt_d13"]
    assert decided["phase"] == "adapt" and decided["init_from"] == "source_mr"
    assert decided["joint_updates"] == 3 and decided["clip"] == 0.03
    assert not {"seed", "runs", "prepared", "data"} & decided.keys()
    assert not (out / "results.json").exists()
    own = {"prepared": "d"}
    reproduce.main(settings, *phases(**own))
    text = (report / "report.md").read_text(encoding="utf-8")
    assert text.startswith("# Table 1\n") and "phantom" not in text


def test_report_tells_nothing_of_where_it_was_made(jobs, tmp_path, monkeypatch):
    out, report, data = (str(tmp_path / name) for name in ("out", "results", "deep/prepared"))
    monkeypatch.chdir(tmp_path)
    argv = ["reproduce", f"--out={out}", f"--report={report}", "--prepared", data, "--seeds=0"]
    monkeypatch.setattr(sys, "argv", argv)
    folders = {"rows_folder": str(ROWS), "out": out, "report": report}
    settings = ReproduceSettings(rows=("uda_d13", "seg_mri"), **folders)
    own = {"prepared": data, "runs": "/elsewhere/runs"}
    reproduce.main(settings, *phases(**own))
    text = (tmp_path / "results/report.md").read_text(encoding="utf-8")
    assert "reproduce --out=out --report=results --prepared deep/prepared --seeds=0`" in text
    assert "train --phase=source --runs=runs --prepared=deep/prepared\n" in text
    for path in (tmp_path / "results").iterdir():
        content = path.read_bytes()
        assert str(tmp_path).encode() not in content and b"elsewhere" not in content, path.name


def test_at_least_one_seed():
    for seeds in ((), (1, 1)):
        with pytest.raises(UsageError, match="seeds: expected at least one"):
            reproduce.main(ReproduceSettings(seeds=seeds), *phases())
    for name in ("seed", "phantom_seed"):
        with pytest.raises(UsageError, match=f"^{name}: "):
            reproduce.main(ReproduceSettings(), *phases(**{name: 7}))


def test_dry_run_shows_all_rows_without_data(tmp_path, monkeypatch, capsys, jobs):
    from cmda_tf.reproduction import estimate

    monkeypatch.setattr(estimate, "measured_throughput", lambda: 1e12)
    settings = ReproduceSettings(dry_run=True, out=str(tmp_path))
    small = {"width": 0.0625, "prepared": str(tmp_path / "none"), "batch": 1}
    reproduce.main(settings, *phases(**small))
    lines = capsys.readouterr().out.splitlines()
    assert not jobs and not any(tmp_path.iterdir())
    assert [line.split("--phase=")[1].split(" ")[0] for line in lines[:-1]] == [
        "source", "source", "finetune", "adabn", "adabn", "adabn", "adapt", "adapt", "adapt",
    ]  # fmt: skip
    assert all("GiB" in line for line in lines[:-1])
    assert "in all, --workers=1 at a time, on 256x256 slices, at the 1000 GFLOP/s" in lines[-1]
    *runs, total = [float(line.split("GiB")[0].split()[-1]) for line in lines]
    assert total == max(runs)  # one at a time
    more = ReproduceSettings(dry_run=True, out=str(tmp_path), workers=100)
    reproduce.main(more, *phases(**small))
    last = capsys.readouterr().out.splitlines()[-1]
    assert float(last.split("GiB")[0].split()[-1]) == pytest.approx(sum(runs), abs=0.05 * len(runs))
    # Every run has all threads: side by side they take as long as one after another.
    assert last.split()[:2] == lines[-1].split()[:2]


def test_dry_run_does_not_take_another_command_s_runs_for_its_own(tmp_path, jobs):
    run = write_run(SourcePhase.of(width=0.25, runs=str(tmp_path / "seed0")))
    (run.folder / "weights.npz").touch()
    with pytest.raises(UsageError, match=r"source_mr was made with width=0\.25, now it is 0\.5"):
        reproduce.main(
            ReproduceSettings(dry_run=True, out=str(tmp_path), rows=("seg_mri",)),
            *phases(data=str(tmp_path)),
        )


def test_our_rows_are_made_on_the_phantom(jobs, tmp_path):
    reproduce.main(ReproduceSettings(out=str(tmp_path)), *phases())
    names = {job.name.split("/")[1] for job in jobs}
    assert {"run adapt_d31", "run uda_tuned", "run uda_plus"} < names and len(
        names
    ) == 2 + 9 + 6 + 1
