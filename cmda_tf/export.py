"""`python -m cmda_tf.export --model=runs/adapt_d13 --out=DIR`: a run for other programs.

Writes a TensorFlow SavedModel with a signature for each path of the router, `source` and `target`
(a run without a DAM has the same network in both), or with `--format=onnx` a file for each. Both
lead from `images` `[B, size, size, 3]` (three consecutive coronal slices of a prepared volume as
channels) to `probabilities` `[B, size, size, classes]`, float32. `cmda_tf.json` says what a program
needs besides: spacing, structures, how intensities are prepared.
"""

from dataclasses import dataclass
from pathlib import Path

from cmda_tf import cli
from cmda_tf.errors import UsageError
from cmda_tf.settings import Settings, setting

FORMATS = ("saved_model", "onnx")


@dataclass(frozen=True)
class ExportSettings(Settings):
    """The flags of `python -m cmda_tf.export`."""

    model: str | None = setting(None, "Folder of a finished run, such as runs/adapt_d13.")
    out: str | None = setting(None, "Folder to write; it must not exist.")
    format: str = setting(
        "saved_model", "What to write; onnx needs the extra [onnx].", choices=FORMATS
    )


def main(settings: ExportSettings) -> None:
    """Exports a run."""
    model, out = map(Path, cli.required(settings, "model", "out"))
    if out.exists():
        raise UsageError(f"out: {out} is there already; expected a new folder")
    from cmda_tf.inference.exported import write_onnx, write_saved_model
    from cmda_tf.inference.trained import load_run

    write = {"saved_model": write_saved_model, "onnx": write_onnx}[settings.format]
    write(load_run(model), out)
    print(f"{settings.format}: {out}")


if __name__ == "__main__":
    cli.run(main, ExportSettings)
