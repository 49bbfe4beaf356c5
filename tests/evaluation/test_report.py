"""The report's four forms, from rows whose numbers are known."""

import csv
import io
import json

import pytest

from cmda_tf.data.structures import HEART
from cmda_tf.errors import DataError
from cmda_tf.evaluation.paper import CITED, TABLE_1, cited_rows, published_rows
from cmda_tf.evaluation.report import Report, write_report
from cmda_tf.evaluation.scores import Scores, summarize

NAN = float("nan")


@pytest.fixture
def report() -> Report:
    good = {name: Scores(80.0, 1.5) for name in HEART.columns}
    better = {name: Scores(90.0, 0.5) for name in HEART.columns}
    half = {**good, "LV-myo": Scores(0.0, NAN)}
    failed = {name: Scores(0.0, NAN) for name in HEART.columns}
    rows = {
        "source_mr": summarize([good, better], ["mr_train_1007", "mr_train_1009"], "Seg-MRI"),
        "source_mr/noDA": summarize([failed, failed], ["ct_train_1003", "ct_train_1008"], "noDA"),
        "adapt_d13": summarize(
            [good, half], ["ct_train_1003", "ct_train_1008"], "UDA d=13", {"kind": "adapt"}
        ),
    }
    return Report(rows, {"seed": 0})


def test_text_is_aligned_and_in_the_papers_layout(report):
    structures, head, rule, *lines = report.to_text().splitlines()
    assert structures.split() == ["AA", "LA-blood", "LV-blood", "LV-myo"]
    assert head.count("Dice [%]") == 5 and head.count("ASD [voxel]") == 4
    assert set(rule) == {"-"}
    assert lines[0].split() == ["Seg-MRI", *["85.0±5.0", "1.0±0.5"] * 4, "85.0"]
    assert lines[1].split() == ["noDA", *["0.0±0.0", "N/A"] * 4, "0.0"]
    assert lines[2].endswith("40.0±40.0  1.5±0.0 (1/2)  70.0")
    starts = [line.index("1.0±0.5") for line in lines[:1]]
    assert head.index("ASD") == starts[0]
    assert all(not line.endswith(" ") for line in report.to_text().splitlines())


def test_markdown_is_a_table(report):
    lines = report.to_markdown().splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert lines[0].startswith("| Methods | AA Dice [%] | AA ASD [voxel] | LA-blood Dice [%] |")
    assert lines[4].startswith("| UDA d=13 | 80.0±0.0 | 1.5±0.0 |")
    assert lines[4].endswith("| 40.0±40.0 | 1.5±0.0 (1/2) | 70.0 |")


def test_only_rows_that_mean_the_same_are_published():
    columns = ("AA", "LA-blood", "LV-blood", "LV-myo")
    assert published_rows("mr", "ct", columns) == TABLE_1
    rows = published_rows("ct", "mr", columns)
    assert [row.title for row in rows.values()] == ["Seg-MRI", "Seg-CT"]
    assert published_rows("mr", "ct", ("liver", "kidneys")) == {}


def test_published_rows_stand_below_ours(report):
    both = Report(report.rows, report.meta, published=TABLE_1)
    names = [line.split("|")[1].strip() for line in both.to_markdown().splitlines()[2:]]
    assert names == [
        *("Seg-MRI", "Seg-MRI (paper)", "noDA", "noDA (paper)"),
        *("UDA d=13", "UDA d=13 (paper)"),
    ]
    assert "| UDA d=13 (paper) | 63.9±15.4 | 13.9±5.6 |" in both.to_markdown()
    assert both.to_results() == report.to_results()


def test_rows_of_others_stand_first_and_have_no_asd(report):
    columns = ("AA", "LA-blood", "LV-blood", "LV-myo")
    assert cited_rows(columns) == CITED and cited_rows(("liver",)) == {}
    lines = Report(report.rows, cited=CITED).to_markdown().splitlines()[2:]
    assert lines[0].startswith("| DL-MR, Payer 2017 (paper) | 76.6±13.8 | - | 81.1±13.8 | - |")
    payer = ["91.1±18.4", "92.4±3.6", "92.4±3.3", "87.2±3.9"]  # mean 90.775
    assert lines[1] == f"| DL-CT, Payer 2017 (paper) | {' | - | '.join(payer)} | - | 90.8 |"
    assert lines[2].startswith("| Seg-MRI | ")


def test_counts_are_of_subjects_that_have_a_value():
    missing = {name: Scores(NAN, NAN) for name in HEART.columns}
    good = {name: Scores(80.0, 1.5) for name in HEART.columns}
    report = Report({"some": summarize([good, missing]), "none": summarize([missing, missing])})
    cell = report.to_results()["rows"]["some"]["structures"]["AA"]
    assert cell["dice_subjects"] == cell["asd_subjects"] == 1
    table = list(csv.DictReader(io.StringIO(report.to_csv())))
    assert [line["subjects"] for line in table] == ["2"] * 8
    assert table[0]["dice_subjects"] == "1" and table[4]["dice_subjects"] == "0"


def test_results_follow_the_contract(report):
    results = report.to_results()
    assert list(results["rows"]) == ["source_mr", "source_mr/noDA", "adapt_d13"]
    titles = [row["title"] for row in results["rows"].values()]
    assert titles == ["Seg-MRI", "noDA", "UDA d=13"]
    assert results["rows"]["adapt_d13"]["kind"] == "adapt"
    assert results["meta"] == {"seed": 0}
    assert results["rows"]["source_mr"]["structures"]["AA"] == pytest.approx(
        {
            **{"dice_mean": 85.0, "dice_std": 5.0, "dice_subjects": 2},
            **{"asd_mean": 1.0, "asd_std": 0.5, "asd_subjects": 2},
        }
    )
    never = results["rows"]["source_mr/noDA"]["structures"]["LV-blood"]
    assert never["dice_mean"] == 0.0
    assert never["asd_mean"] is None and never["asd_std"] is None


def test_files_are_written_and_read_back(report, tmp_path):
    write_report(report, tmp_path / "new" / "folder")
    folder = tmp_path / "new" / "folder"
    assert {p.name for p in folder.iterdir()} == {
        *("results.json", "table.md", "table.csv", "subjects.csv")
    }
    assert json.loads((folder / "results.json").read_text(encoding="utf-8")) == report.to_results()
    assert (folder / "table.md").read_text(encoding="utf-8") == report.to_markdown()
    with open(folder / "table.csv", encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    assert len(table) == 3 * 4
    assert table[-1] == {
        **{"row": "UDA d=13", "structure": "LV-myo", "dice_mean": "40.0", "dice_std": "40.0"},
        **{"dice_subjects": "2", "asd_mean": "1.5", "asd_std": "0.0", "asd_subjects": "1"},
        "subjects": "2",
    }
    with open(folder / "subjects.csv", encoding="utf-8", newline="") as file:
        subjects = list(csv.DictReader(file))
    assert len(subjects) == 3 * 2 * 4
    assert subjects[0] == {
        **{"row": "Seg-MRI", "subject": "mr_train_1007", "structure": "AA"},
        **{"dice_percent": "80.0", "asd_voxel": "1.5"},
    }
    assert subjects[-1]["asd_voxel"] == "N/A"


def test_unwritable_folder_is_one_clear_error(report, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="file"):
        write_report(report, tmp_path / "file")


def test_two_writes_give_the_same_bytes(report, tmp_path):
    for name in ("a", "b"):
        write_report(report, tmp_path / name)
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()
