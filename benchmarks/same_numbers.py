"""Do two checkouts give the same numbers, to the last bit? A tiny run of every phase on each.

    python benchmarks/same_numbers.py --out=before.json --checkout=OLD    (a worktree, say)
    python benchmarks/same_numbers.py --out=after.json
    python benchmarks/same_numbers.py --compare=before.json,after.json

Digests (SHA-256) of the phantom's files, prepared subjects, the weights of every run, predicted
label maps and a small reproduction's results. Bits depend on the machine and on TensorFlow, so
both are made on one machine; one thread, so that they do not depend on its load.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import SimpleITK as sitk

# Version 0.1 called some flags otherwise; `--compare` is for checkouts on both sides of that.
FLAGS_OF_0_1 = {
    "init_from": "origin",
    "modality": "domain",
    "role": "domain",
    "foreground_only": "found_slices",
    "dam_ema_decay": "dam_average",
    "teacher_ema_decay": "teacher_decay",
    "standardize_taps": "standardise_taps",
    "center": "centre",
    "center_on_labels": "centre_on_labels",
}
TINY = ("--prepared=prepared", "--threads=1", "--width=0.125", "--batch=4")
ADVERSARIAL = (
    "--warmup_updates=2",
    "--joint_updates=2",
    "--critic_updates=2",
    "--snapshot_every=1",
)
APPEARANCE = ("--intensity_curves=1", "--bias_field=0.3", "--random_networks=0.5", "--contrast=0.2")
APPEARANCE += ("--blur=0.7", "--noise=0.2")
STARTS = {
    "source_mr": ("--phase=source", "--steps=30", "--learning_rate=3e-3"),
    "source_ct": ("--phase=source", "--modality=ct", "--steps=3"),
    "source_plus": ("--phase=source", "--steps=3", "--noclass_weights", *APPEARANCE),
    "source_dropout": ("--phase=source", "--steps=3", "--dropout=0.2", "--nobalanced"),
    "source_bfloat16": ("--phase=source", "--steps=3", "--precision=mixed_bfloat16", "--noaugment"),
}
OPTIONS = {
    "layer": ("--critic_norm=layer",),
    "group": ("--critic_norm=group", "--constraint=gradient_penalty", "--penalty=5"),
    "spectral": ("--constraint=spectral",),
    "standardize": ("--standardize_taps",),
    "mask": ("--mask_critic_weight=0.3", "--taps=33", "--clip=0.05"),
    "entropy": ("--entropy_weight=0.5", "--select=entropy"),
    "ema": ("--dam_ema_decay=0.9", "--norefresh_statistics"),
    "rmsprop": ("--rmsprop_start=1", "--rmsprop_epsilon=1e-6", "--noaugment"),
    "foreground": ("--foreground_only", "--select=adabn_agreement"),
    "d31": ("--depth=31", "--init_from=source_plus", "--select=last"),
}
PHASES = {
    "finetune_ct": ("--phase=finetune", "--finetune_steps=3"),
    "adabn_d13": ("--phase=adabn",),
    "adabn_foreground": ("--phase=adabn", "--depth=21", "--foreground_only"),
    "adapt_d13": ("--phase=adapt", *ADVERSARIAL),
    **{name: ("--phase=adapt", *ADVERSARIAL, *flags) for name, flags in OPTIONS.items()},
}
TEACHING = {
    "selftrain_d13": ("--phase=selftrain", "--selftrain_steps=3", "--thresholds_every=2"),
    "selftrain_plus": (
        *("--phase=selftrain", "--selftrain_steps=3", "--source_weight=1", "--align_classes"),
        *("--confidence_quantile=0", "--teacher_ema_decay=0.9", "--depth=31", "--init_from=d31"),
        *APPEARANCE,
    ),
}
ROWS = "seg_mri,seg_ct_stl,adabn_d13,uda_d13"
SHORT = ("--steps=5", "--finetune_steps=3", *ADVERSARIAL)


class Checkout:
    """A checkout's command lines, run in a folder of their own."""

    def __init__(self, root: Path, folder: Path):
        self.root, self.folder = root.resolve(), folder
        self.old = (self.root / "cmda_tf/select.py").is_file()

    def run(self, module: str, *arguments: str) -> None:
        """Runs a command to its end; its output is shown if it fails."""
        environment = {**os.environ, "PYTHONPATH": str(self.root), "TF_CPP_MIN_LOG_LEVEL": "2"}
        words = [self._translated(word) for word in arguments]
        command = [sys.executable, "-m", f"cmda_tf.{module}", *words]
        done = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True
        )
        if done.returncode:
            sys.exit(f"{' '.join(command)}\n{done.stdout}\n{done.stderr}")

    def _translated(self, word: str) -> str:
        name, equals, value = word.removeprefix("--").partition("=")
        known = FLAGS_OF_0_1.get(name) if self.old and word.startswith("--") else None
        return f"--{known}{equals}{value}" if known else word


def digests(root: Path, folder: Path, workers: int) -> dict[str, str]:
    """All digests of a checkout, by name."""
    checkout = Checkout(root, folder)
    checkout.run("phantom", "--out=raw", "--subjects=4", "--seed=11")
    checkout.run("prepare", "--raw=raw", "--prepared=prepared", "--size=32", "--spacing_mm=7")
    # In flagfiles, where flags of other phases are let pass.
    (folder / "tiny.cfg").write_text("\n".join(TINY))
    (folder / "short.cfg").write_text("\n".join([*TINY, *SHORT]))

    def train(run: tuple[str, tuple[str, ...]]) -> None:
        print(run[0], flush=True)
        checkout.run("train", "--flagfile=tiny.cfg", f"--name={run[0]}", *run[1])

    with ThreadPoolExecutor(workers) as pool:
        for group in (STARTS, PHASES, TEACHING):
            list(pool.map(train, group.items()))
    scan = "raw/ct_train/ct_train_1004_image.nii.gz"
    for out, flags in (("maps", ()), ("others", ("--role=source", "--center=model"))):
        checkout.run("predict", scan, "--model=runs/adapt_d13", f"--out={out}", *flags)
    rows = f"--rows={ROWS}", f"--rows_folder={checkout.root / 'flags/rows'}"
    checkout.run("reproduce", "--flagfile=short.cfg", *rows, "--out=reproduced")
    hashes = {str(p.relative_to(folder)): _sha256(p) for p in sorted(folder.glob("raw/*/*.nii.gz"))}
    hashes |= {f"prepared/{p.name}": _arrays(p) for p in sorted(folder.glob("prepared/*.npz"))}
    hashes |= {p.parent.name: _arrays(p) for p in sorted(folder.glob("runs/*/weights.npz"))}
    hashes |= {f"{p.parent.name}/map": _voxels(p) for p in sorted(folder.glob("*/*_label.nii.gz"))}
    hashes["results"] = _results(folder / "reproduced/results.json")
    return hashes


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _arrays(path: Path) -> str:
    """Of an `.npz` file's arrays; a subject's `about` by its geometries alone."""
    total = hashlib.sha256()
    with np.load(path) as content:
        for name in sorted(content):
            array = content[name]
            if name == "about":
                about = json.loads(array.tobytes())
                array = np.array([json.dumps([about["grid"], about["raw"]])])
            total.update(f"{name} {array.dtype} {array.shape}".encode())
            total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()


def _voxels(path: Path) -> str:
    image = sitk.ReadImage(str(path))
    where = image.GetSpacing(), image.GetOrigin(), image.GetDirection()
    return hashlib.sha256(
        repr(where).encode() + sitk.GetArrayFromImage(image).tobytes()
    ).hexdigest()


def _results(path: Path) -> str:
    """Of a report's numbers, by the rows' titles."""
    results = json.loads(path.read_text(encoding="utf-8"))
    rows = {
        row.get("title", key): row.get("structures", row) for key, row in results["rows"].items()
    }
    gains = [
        [gain[k] for k in ("title", "dice", "above_adabn", "share")] for gain in results["gains"]
    ]
    text = json.dumps([rows, gains], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def main() -> None:
    """Makes digests, or compares two files of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkout", type=Path, default=Path(__file__).parents[1])
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--compare", help="two such files, separated by a comma")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    if arguments.compare:
        one, other = (json.loads(Path(p).read_text()) for p in arguments.compare.split(","))
        wrong = [name for name in sorted(one | other) if one.get(name) != other.get(name)]
        print(f"{len(one | other)} digests, {len(wrong)} differ", *wrong, sep="\n")
        sys.exit(bool(wrong))
    with tempfile.TemporaryDirectory() as folder:
        hashes = digests(arguments.checkout, Path(folder), arguments.workers)
    arguments.out.write_text(json.dumps(hashes, indent=2) + "\n")


if __name__ == "__main__":
    main()
