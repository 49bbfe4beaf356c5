"""Command lines: one-line errors and exit codes, seen from outside."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

# The package is found whether it is installed or not.
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}


def run(module: str, *arguments: str, folder) -> tuple[int, str]:
    """Exit code and what was written to stderr, TensorFlow's own lines left out."""
    command = [sys.executable, "-m", f"cmda_tf.{module}", *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=folder, timeout=120, env=ENVIRONMENT
    )
    lines = [x for x in done.stderr.splitlines() if x.startswith(("error:", "Traceback", "  File"))]
    return done.returncode, "\n".join(lines)


@pytest.mark.parametrize(
    ("module", "arguments", "code", "message"),
    [
        ("train", ["--phase=sauce"], 2, "error: --phase: expected one of source, adapt, adabn"),
        ("train", [], 2, "error: --phase: expected one of source, adapt, adabn"),
        ("train", ["--phase=adapt", "--depth=12"], 2, "error: --depth: 12 does not end a block"),
        ("train", ["--stepps=3"], 2, "error: Unknown command line flag 'stepps'"),
        ("train", ["adapt"], 2, "error: unexpected argument 'adapt'"),
        ("train", ["--flagfile=none.cfg"], 2, "error: "),
        ("train", ["--phase=source", "--jit_compile"], 2, "error: --jit_compile: XLA"),
        ("prepare", ["--raw=nowhere", "--prepared=out"], 1, "error: nowhere"),
        ("prepare", ["--raw=nowhere"], 2, "error: --prepared: a folder is required"),
        ("phantom", ["--out=file/below"], 1, "error: file/below: cannot make this output folder"),
        ("evaluate", ["--runs=nowhere"], 1, "error: nowhere: no finished run"),
        (
            "snapshots",
            ["--runs=nowhere"],
            1,
            "error: nowhere: no finished adaptation with snapshots",
        ),
        ("snapshots", ["--criterion=dice"], 2, "error: --criterion: expected one of last, entropy"),
        ("train", ["--phase=adapt", "--snapshot_every=0"], 2, "error: --snapshot_every: expected"),
        (
            "train",
            ["--phase=adapt", "--target=mr"],
            2,
            "error: --target: expected another modality",
        ),
        ("predict", ["x.nii"], 2, "error: --model: expected the folder of a finished run"),
        ("predict", ["--model=m"], 2, "error: expected at least one IMAGE"),
        ("predict", ["x.nii", "--model=m"], 1, "error: m: no finished run here"),
        ("prepare", ["--raw=r", "--prepared=p", "--dataset=d.json"], 1, "error: d.json: cannot be"),
        (
            "train",
            ["--phase=source", "--joint_updates=5"],
            2,
            "error: --joint_updates: a flag of -",
        ),
        (
            "train",
            ["--phase=adabn", "--clip=0.1"],
            2,
            "error: --clip: a flag of --phase=adapt, not",
        ),
        ("train", ["--phase=source", "--noforeground_only"], 2, "error: --foreground_only: a flag"),
        (
            "demo",
            ["--finetune_steps=5"],
            2,
            "error: --finetune_steps: a flag of --phase=finetune, ",
        ),
        ("train", ["--phase=adapt", "--flagfile=f.cfg"], 2, "error: --flagfile: f.cfg: No such"),
    ],
)
def test_one_line_and_the_right_code(module, arguments, code, message, tmp_path):
    (tmp_path / "file").write_text("in the way")
    found_code, actual = run(module, *arguments, folder=tmp_path)
    assert found_code == code
    assert actual.startswith(message) and actual.count("\n") == 0
    assert [path.name for path in tmp_path.iterdir()] == ["file"]  # nothing half-written


def test_missing_data_and_missing_source_run(tmp_path, dataset):
    code, actual = run("train", "--phase=source", "--prepared=none", folder=tmp_path)
    makes = "this makes it: python -m cmda_tf.prepare --raw=DIR --prepared=DIR"
    assert code == 1 and actual == f"error: none/manifest.json: no such file; {makes}"
    prepared = f"--prepared={dataset.folder}"
    code, actual = run("train", "--phase=source", "--target=pet", prepared, folder=tmp_path)
    assert code == 2 and "--target: expected a modality of" in actual and "(mr, ct)" in actual
    code, actual = run("train", "--phase=adapt", prepared, folder=tmp_path)
    assert code == 1 and "python -m cmda_tf.train --phase=source" in actual


def test_debug_shows_the_traceback(tmp_path):
    code, actual = run("prepare", "--raw=nowhere", "--prepared=x", "--debug", folder=tmp_path)
    assert code == 1 and actual.startswith("Traceback")


def test_help_lists_flags_with_their_sentence(tmp_path):
    command = [sys.executable, "-m", "cmda_tf.train", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=ENVIRONMENT)
    text = done.stdout
    assert done.returncode == 0
    assert "--depth: Adaptation depth d, the last layer the DAM replaces." in text
    assert "--[no]resume" in text


def test_a_locale_without_the_character_does_not_end_the_work(tmp_path):
    program = "from cmda_tf import cli; cli.run(lambda: print('90.0 \\u00b1 1.5'))"
    bare = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command, environment = [sys.executable, "-c", program], {**ENVIRONMENT, **bare}
    done = subprocess.run(command, capture_output=True, cwd=tmp_path, env=environment)
    assert done.stdout == b"90.0 ? 1.5\n" and done.returncode == 0


def test_a_flag_of_another_phase_names_it_and_a_near_one(tmp_path):
    code, actual = run("train", "--phase=finetune", "--steps=5", folder=tmp_path)
    expected = "--steps: a flag of --phase=source, not of --phase=finetune"
    assert code == 2 and expected in actual
    code, actual = run("train", "--phase=selftrain", "--finetune_steps=5", folder=tmp_path)
    assert code == 2 and actual.endswith("did you mean --selftrain_steps?")


def test_a_flagfile_may_be_for_all_phases_and_is_found_anywhere(tmp_path):
    """`flags/demo.cfg` includes `flags/phantom.cfg`, which has flags of several phases."""
    (tmp_path / "own.cfg").write_text("# mine\n--flagfile=flags/demo.cfg\n--prepared=none\n")
    code, actual = run("train", "--phase=source", "--flagfile=own.cfg", folder=tmp_path)
    assert code == 1 and actual.startswith("error: none/manifest.json: no such file")
    # The same flag is one of another phase where it is typed.
    words = ("--flagfile=own.cfg", "--critic_updates=20")
    code, actual = run("train", "--phase=source", *words, folder=tmp_path)
    assert code == 2 and "--critic_updates: a flag of --phase=adapt, not of --phase=sou" in actual


def test_the_packages_flagfiles_are_found_from_an_empty_folder(tmp_path):
    paper = ("train", "--flagfile=flags/paper.cfg", "--phase=source")
    code, actual = run(*paper, folder=tmp_path)
    assert code == 1 and actual.startswith("error: data/mmwhs_prepared/manifest.json: no such file")
    apart = ("train", "--flagfile", "flags/paper.cfg", "--phase", "source")
    assert run(*apart, folder=tmp_path) == (code, actual)
    (tmp_path / "flags").mkdir()  # one's own comes first
    (tmp_path / "flags/paper.cfg").write_text("--prepared=mine\n")
    code, actual = run(*paper, folder=tmp_path)
    assert code == 1 and actual.startswith("error: mine/manifest.json: no such file")


def test_a_flagfile_that_includes_itself_is_refused(tmp_path):
    (tmp_path / "own.cfg").write_text("--flagfile=own.cfg\n")
    code, actual = run("train", "--phase=source", "--flagfile=own.cfg", folder=tmp_path)
    assert code == 2 and actual == "error: --flagfile: own.cfg includes itself"
    (tmp_path / "own.cfg").write_text("--flagfile=other.cfg\n")
    (tmp_path / "other.cfg").write_text("--flagfile=./own.cfg\n")
    code, actual = run("train", "--phase=source", "--flagfile=own.cfg", folder=tmp_path)
    assert code == 2 and actual == "error: --flagfile: own.cfg includes itself"


def test_a_suggested_command_repeats_what_it_must_share(tmp_path, dataset):
    shared = ("--runs=there", f"--prepared={dataset.folder}")
    code, actual = run("train", "--phase=adapt", "--depth=21", *shared, folder=tmp_path)
    makes = f"this makes it: python -m cmda_tf.train --phase=source {' '.join(shared)}"
    assert code == 1 and actual.endswith(makes)
    apart = ("--runs", "over there", "--prepared", str(dataset.folder))
    code, actual = run("train", "--phase=adapt", *apart, folder=tmp_path)
    assert code == 1 and actual.endswith(f"=source '--runs=over there' {shared[1]}")


def test_one_command_for_all(tmp_path):
    command = [sys.executable, "-m", "cmda_tf"]
    options = {"capture_output": True, "text": True, "cwd": tmp_path, "env": ENVIRONMENT}
    for words in ([], ["--help"]):
        done = subprocess.run([*command, *words], **options)
        assert done.returncode == 0 and "  predict " in done.stdout
    done = subprocess.run([*command, "paint"], **options)
    assert done.returncode == 2 and "expected one of init, phantom, prepare" in done.stderr
    for words in (["train", "--phase=sauce"], ["phantom", "--help"], ["prepare", "--raw=nowhere"]):
        module = [sys.executable, "-m", f"cmda_tf.{words[0]}", *words[1:]]
        one, other = (subprocess.run(x, **options) for x in ([*command, *words], module))
        assert one.returncode == other.returncode
        assert (one.stdout, one.stderr) == (other.stdout, other.stderr)
        assert (one.stdout or one.stderr).strip()
