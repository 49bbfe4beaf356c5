"""Executes the notebooks: `CMDA_TF_RUNS=runs/demo python notebooks/execute.py [--inplace]`.

Executed copies go to `build/notebooks`; with --inplace the notebooks themselves are replaced.
Any cell that raises fails the command.
"""

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Executes every notebook beside this file."""
    out = HERE if "--inplace" in sys.argv[1:] else HERE.parent / "build" / "notebooks"
    out.mkdir(parents=True, exist_ok=True)
    for path in sorted(HERE.glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(HERE)}}).execute()
        for cell in notebook.cells:
            cell.metadata.pop("execution", None)  # times of day differ from run to run
            if cell.cell_type == "code":  # TensorFlow's start-up lines, which nothing silences
                cell.outputs = [x for x in cell.outputs if x.get("name") != "stderr"]
        nbformat.write(notebook, out / path.name)
        print(f"{path.name}: executed, {out / path.name}")


if __name__ == "__main__":
    main()
