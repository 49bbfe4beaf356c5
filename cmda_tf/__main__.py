"""`cmda-tf NAME ...` and `python -m cmda_tf NAME ...`: the same as `python -m cmda_tf.NAME ...`."""

import runpy
import sys

COMMANDS = {
    "init": "look at a folder of volumes, write a first description of it",
    "phantom": "write unpaired MR and CT phantoms as NIfTI files",
    "prepare": "resample, crop and normalize raw volumes for training",
    "convert": "prepared data as the records of the authors' release, and back",
    "train": "train a phase: source, adapt, adabn, finetune, selftrain",
    "snapshots": "an adaptation's snapshots and the label-free choice among them",
    "predict": "segment images with a finished run",
    "export": "a finished run as a SavedModel or ONNX",
    "evaluate": "the table and figures of finished runs",
    "demo": "all of it on the phantom",
    "reproduce": "every row of Table 1, over seeds",
}


def main() -> None:
    """Runs the command that the first word names."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name in COMMANDS:
        del sys.argv[1]
        runpy.run_module(f"cmda_tf.{name}", run_name="__main__", alter_sys=True)
        return
    lines = [f"  {command:10s} {what}" for command, what in COMMANDS.items()]
    usage = "\n".join(["usage: cmda-tf COMMAND [--flag=value ...]", "", *lines, ""])
    if name in ("", "help", "--help", "-h"):
        print(f"{usage}\ncmda-tf COMMAND --help lists a command's flags")
        return
    print(f"error: no command {name!r}; expected one of {', '.join(COMMANDS)}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
