"""The package's structure, read from its source."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "cmda_tf"
ENTRY_POINTS = {
    "train",
    "init",
    "prepare",
    "convert",
    "predict",
    "export",
    "evaluate",
    "select",
    "demo",
    "reproduce",
    "phantom.__main__",
}


def _imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


@pytest.mark.parametrize("part", ["formats", "survey", "data", "models", "losses", "phantom"])
def test_lower_layers_import_neither_training_nor_entry_points(part):
    above = {"cmda_tf.training", "cmda_tf.evaluation", *(f"cmda_tf.{e}" for e in ENTRY_POINTS)}
    files = [p for p in (PACKAGE / part).glob("*.py") if p.name != "__main__.py"]
    assert files
    for path in files:
        wrong = {i for i in _imports(path) for a in above if i == a or i.startswith(f"{a}.")}
        assert not wrong, f"{path.name} imports {wrong}"


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
    code = (
        "import cmda_tf, cmda_tf.train, cmda_tf.prepare, cmda_tf.evaluate, cmda_tf.snapshots, "
        "cmda_tf.demo, cmda_tf.init, cmda_tf.predict, cmda_tf.export, cmda_tf.convert, sys;"
        "sys.exit('tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=PACKAGE.parent).returncode == 0


def test_selection_cannot_see_what_evaluation_measures():
    """The choice of a snapshot must not depend on test labels."""
    for path in (PACKAGE / "selection").glob("*.py"):
        assert not [i for i in _imports(path) if i.startswith("cmda_tf.evaluation")], path.name
