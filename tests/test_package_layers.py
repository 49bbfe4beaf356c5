"""The package's structure, read from its source."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from cmda_tf.__main__ import COMMANDS

PACKAGE = Path(__file__).parents[1] / "cmda_tf"
ENTRY_POINTS = tuple(COMMANDS)


def _imports(path: Path) -> set[str]:
    actual = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            actual |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            actual |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return actual


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: p.stem)
def test_nothing_unpickles_or_evaluates(path):
    assert not {"pickle", "dill", "joblib"} & {i.split(".")[0] for i in _imports(path)}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            assert name not in {"eval", "exec", "Lambda"}, f"{path.name}:{node.lineno}"
            for keyword in node.keywords:
                if keyword.arg == "allow_pickle":
                    assert keyword.value.value is False


def test_importing_the_package_and_its_entry_points_does_not_load_tensorflow():
    names = [f"cmda_tf.{name}" for name in ENTRY_POINTS if name != "phantom"]
    names += ["cmda_tf.phantom.__main__", "cmda_tf.training.phases", "cmda_tf.evaluation.settings"]
    code = f"import {', '.join(names)}, sys; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=PACKAGE.parent).returncode == 0


def test_no_module_hides_one_of_the_standard_library():
    """A program run by its path has the package's folder in front of the library's."""
    names = {path.stem for path in PACKAGE.iterdir() if not path.name.startswith("_")}
    assert {"cli", "data", "train"} <= names and not names & sys.stdlib_module_names


def test_a_program_can_be_run_by_its_path(tmp_path):
    command = [sys.executable, str(PACKAGE / "prepare.py"), "--help"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == ""
    assert "--prepared" in done.stdout


def test_every_command_has_a_program():
    for name in ENTRY_POINTS:
        assert (PACKAGE / f"{name}.py").is_file() or (PACKAGE / name / "__main__.py").is_file()


def test_selection_cannot_see_what_evaluation_measures():
    """The choice of a snapshot must not depend on test labels."""
    for path in (PACKAGE / "model_selection").glob("*.py"):
        assert not [i for i in _imports(path) if i.startswith("cmda_tf.evaluation")], path.name
