"""`python -m cmda_tf.init`: what it prints and writes, and what it refuses."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from builders.volumes import centered_geometry, heart_codes, heart_image, write, write_subject

from cmda_tf.data.description import find_described, read_description
from cmda_tf.errors import DataError, UsageError
from cmda_tf.init import InitSettings, main

GRID = centered_geometry((12, 12, 12), (9.0, 9.0, 9.0))


@pytest.fixture
def raw(tmp_path):
    """Two labeled CT and one unlabeled MR subject; one file cannot be read."""
    for n in (1, 2):
        write(tmp_path / f"raw/ct/p{n}.nii.gz", GRID, heart_image(GRID, seed=n))
        write(tmp_path / f"raw/ct/p{n}_seg.nii.gz", GRID, heart_codes(GRID))
    write(tmp_path / "raw/mr/q1.nii", GRID, heart_image(GRID, seed=3))
    (tmp_path / "raw/mr/q2.nii").write_bytes(b"damaged")
    return tmp_path / "raw"


def test_description_report_and_what_to_do_next(raw, tmp_path, capsys):
    main(InitSettings(raw=str(raw), out=str(tmp_path / "own.json")))
    printed = capsys.readouterr().out
    assert "ct/p1.nii.gz      image  12x12x12  9x9x9         LPS" in printed
    assert "cannot be read: mr/q2.nii: expected a NIfTI-1 file" in printed
    assert "modality ct: ct/{id}.nii.gz, labels ct/{id}_seg.nii.gz" in printed
    assert "note: mr: no labels; it can be the target" in printed
    assert f"--dataset={tmp_path / 'own.json'} --center_on_labels=SOURCE" in printed
    assert printed.rstrip().endswith("learned from (ct)")
    (raw / "mr/q2.nii").unlink()
    actual = find_described(raw, read_description(tmp_path / "own.json"))
    assert [(s.id, s.label and s.label.name) for s in actual] == [
        ("ct_p1", "p1_seg.nii.gz"), ("ct_p2", "p2_seg.nii.gz"), ("mr_q1", None),
    ]  # fmt: skip
    names = [s.name for s in read_description(tmp_path / "own.json").structures]
    assert names == ["label_205", "label_420", "label_500", "label_600", "label_820"]
    lines = (tmp_path / "own_report.csv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 7 and lines[0].startswith("file,kind,size,spacing_mm,orientation,minimum")
    assert lines[6].startswith("mr/q2.nii,unreadable,,")


def test_nothing_is_replaced_without_being_asked(raw, tmp_path):
    (tmp_path / "d.json").write_text("mine")
    settings = InitSettings(raw=str(raw), out=str(tmp_path / "d.json"))
    with pytest.raises(UsageError, match=r"^out: .*d\.json is there already; --overwrite"):
        main(settings)
    assert (tmp_path / "d.json").read_text(encoding="utf-8") == "mine"
    assert not (tmp_path / "d_report.csv").exists()
    main(InitSettings(raw=str(raw), out=str(tmp_path / "d.json"), overwrite=True))
    read_description(tmp_path / "d.json")


def test_mmwhs_needs_no_description_unless_its_codes_are_others(tmp_path, capsys):
    raw = tmp_path / "raw/MM-WHS 2017 Dataset"
    for id in ("mr_train_1001", "ct_train_1001"):
        write_subject(raw, id)
    main(InitSettings(raw=str(raw.parent), out=str(tmp_path / "d.json")))
    assert "in the MM-WHS layout: no description is needed" in capsys.readouterr().out
    assert not (tmp_path / "d.json").exists() and (tmp_path / "d_report.csv").exists()
    grid = centered_geometry((24, 24, 24), (6.0, 6.5, 5.5))
    write(raw / "mr_train/mr_train_1001_label.nii.gz", grid, heart_codes(grid) // 100)
    main(InitSettings(raw=str(raw.parent), out=str(tmp_path / "d.json"), overwrite=True))
    dataset = read_description(tmp_path / "d.json")
    assert {d.name for d in dataset.modalities} == {"ct", "mr"}
    assert len(find_described(raw.parent, dataset)) == 2


def test_what_cannot_be_described_is_an_error_and_reported_all_the_same(tmp_path):
    settings = InitSettings(raw=str(tmp_path / "raw"), out=str(tmp_path / "d.json"))
    with pytest.raises(UsageError, match=r"^raw: a folder is required"):
        main(InitSettings())
    with pytest.raises(DataError, match="no such folder"):
        main(settings)
    (tmp_path / "raw").mkdir()
    with pytest.raises(DataError, match=r"no volumes; expected files that end in \.nii"):
        main(settings)
    (tmp_path / "raw/a.nii").write_bytes(b"")
    with pytest.raises(DataError, match="none of its 1 volumes can be read"):
        main(settings)
    write(tmp_path / "raw/b.nii", GRID, heart_image(GRID))
    (tmp_path / "d_report.csv").unlink()
    with pytest.raises(DataError, match="no volume there is a label map"):
        main(settings)
    assert (tmp_path / "d_report.csv").exists() and not (tmp_path / "d.json").exists()


def test_command_line_has_exit_codes(raw, tmp_path):
    def run(*flags):
        command = [sys.executable, "-m", "cmda_tf.init", *flags]
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=tmp_path, env=environment
        )
        return done.returncode, done.stdout, done.stderr

    code, out, _ = run("--raw=raw")
    assert code == 0 and "description: dataset.json" in out
    code, _, err = run("--raw=raw")
    assert code == 2 and err.startswith("error: --out: dataset.json is there already")
    code, _, err = run("--raw=none", "--overwrite")
    assert code == 1 and err == "error: none: no such folder of raw volumes\n"
