"""`python -m cmda_tf.evaluate`: Table 1 and the figures from the finished runs of a folder.

Predicts every slice of every test volume and writes to `--out`: `results.json`, `table.md`,
`table.csv`, `subjects.csv`, Figures 1 and 3 as PNG and PDF, Figure 4 where there is more than one
adapted model, and `predictions/` (NIfTI).
"""

from cmda_tf import cli
from cmda_tf.evaluation.settings import EvaluateSettings


def main(settings: EvaluateSettings) -> None:
    """Evaluates all runs and prints the table."""
    # Imported here: TensorFlow takes seconds, and a wrong flag should be told at once.
    from cmda_tf.evaluation.evaluate import evaluate

    print(evaluate(settings).to_text())
    print(f"written to {settings.out or settings.runs}")


if __name__ == "__main__":
    cli.run(main, EvaluateSettings)
