"""Which rows the runs of a folder make; runs are made up of settings alone."""

import pytest
from builders.runs import write_run

from cmda_tf.data.prepared import PreparedDataset
from cmda_tf.data.structures import HEART
from cmda_tf.errors import DataError
from cmda_tf.evaluation.rows import find_rows, of_figure3, of_figure4
from cmda_tf.training.phases import PHASES


@pytest.fixture
def make(tmp_path):
    """`make(phase, **settings)`: a run's folder as if it had been finished."""

    def run(phase, finished=True, **changes):
        made = write_run(PHASES[phase].of(runs=str(tmp_path), **changes))
        if finished:
            (made.folder / "weights.npz").touch()

    return run


def _rows(folder):
    return [(row.title, row.role, row.modality) for row in find_rows(folder)]


def test_all_rows_in_the_papers_order(make, tmp_path):
    for depth in (31, 13, 21):
        make("adapt", depth=depth)
    make("selftrain", depth=21)
    make("selftrain", depth=13)
    make("adabn", depth=13)
    make("finetune")
    make("source", modality="ct")
    make("source")
    make("adapt", depth=5, finished=False)
    assert _rows(tmp_path) == [
        ("Seg-MRI", "source", "mr"),
        ("Seg-CT", "source", "ct"),
        ("Seg-CT-STL", "source", "ct"),
        ("noDA", "source", "ct"),
        ("AdaBN d=13", "target", "ct"),
        ("UDA d=13", "target", "ct"),
        ("UDA d=21", "target", "ct"),
        ("UDA d=31", "target", "ct"),
        ("Self-training d=13", "target", "ct"),
        ("Self-training d=21", "target", "ct"),
    ]


def test_columns_of_the_figures(make, tmp_path):
    for depth in (13, 21):
        make("adapt", depth=depth)
        make("adabn", depth=depth)
    make("adapt", depth=13, name="tuned", title="tuned")
    make("selftrain", depth=13)
    make("finetune")
    make("source", modality="ct")
    make("source")
    target = [e for e in find_rows(tmp_path) if e.modality == "ct"]
    assert [e.title for e in of_figure3(target)] == [
        *("Seg-CT-STL", "Seg-CT", "noDA", "AdaBN d=13", "UDA d=13", "Self-training d=13"),
    ]
    assert [e.title for e in of_figure4(target)] == [
        *("UDA d=13", "UDA d=21", "tuned", "Self-training d=13"),
    ]


def test_only_the_runs_that_are_asked_for(make, tmp_path):
    make("source")
    make("adapt")
    make("adapt", name="other")
    assert [e.title for e in find_rows(tmp_path, ["source_mr", "other"])] == [
        *("Seg-MRI", "noDA", "UDA d=13 (other)"),
    ]
    with pytest.raises(DataError, match=r"adapt_d9: no finished run here"):
        find_rows(tmp_path, ["source_mr", "adapt_d9"])


def test_runs_with_a_name_have_it_in_their_title(make, tmp_path):
    make("adapt")
    make("adapt", name="seed1", seed=1)
    make("source", name="small", width=0.25)
    assert [title for title, *_ in _rows(tmp_path)] == [
        "Seg-MRI (small)", "noDA (small)", "UDA d=13", "UDA d=13 (seed1)",
    ]  # fmt: skip


def test_folder_without_finished_runs_says_what_to_type(make, tmp_path):
    make("source", finished=False)
    with pytest.raises(DataError, match="no finished run") as caught:
        find_rows(tmp_path)
    assert caught.value.made_by == "source"  # the command line says how


def test_missing_test_subjects_are_named(tmp_path):
    with pytest.raises(DataError, match="no labeled test subject of modality 'ct'"):
        PreparedDataset(tmp_path, 16, 1.0, HEART, ()).test_subjects("ct")


def test_a_segmenter_is_tested_where_it_has_learned(make, tmp_path):
    make("finetune", modality="mr")
    make("source", modality="us")  # a third modality of the data set
    assert _rows(tmp_path) == [("Seg-US", "source", "us"), ("Seg-MRI-STL", "source", "mr")]


def test_rows_are_known_by_their_runs(make, tmp_path):
    make("source", title="Mine")
    make("adapt", name="uda", title="noDA")  # a title says nothing to a program
    rows = {row.id: row.kind for row in find_rows(tmp_path)}
    assert rows == {"source_mr": "source", "source_mr/noDA": "noDA", "uda": "adapt"}
    facts = find_rows(tmp_path, ["uda"])[0].facts()
    assert facts["depth"] == 13 and facts["usual"] is False and facts["crop"] == "volume"


def test_two_rows_of_one_title_are_refused(make, tmp_path):
    make("adapt", title="same")
    make("adapt", name="other", title="same")
    with pytest.raises(DataError, match="more than one run makes the row 'same'"):
        find_rows(tmp_path)
