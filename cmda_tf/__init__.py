"""cmda_tf: unsupervised cross-modality domain adaptation of segmentation networks.

A TensorFlow 2 / Keras implementation of Dou, Ouyang, Chen, Chen and Heng, "Unsupervised
Cross-Modality Domain Adaptation of ConvNets for Biomedical Image Segmentations with
Adversarial Loss", IJCAI 2018.

    model = cmda_tf.load_run("runs/adapt_d13")
    model.predict("patient1.nii.gz").volumes_mm3()
    cmda_tf.run_phase(cmda_tf.AdaptPhase.of(depth=21, runs="runs"))

Importing the package is cheap: what a name needs, TensorFlow for most, is loaded when it is used.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

# The public names, by the module that holds them.
_HOMES = {
    "inference.trained": ("TrainedModel", "load_run"),
    "datasets": ("DataSettings", "open_data", "open_dataset"),
    "data.dataset": ("Dataset",),
    "runs.run": ("Run", "find_runs", "open_run"),
    "training.phases": (
        *("SourcePhase", "FinetunePhase", "AdabnPhase", "AdaptPhase", "SelftrainPhase"),
    ),
    "training.run_phase": ("run_phase",),
    "errors": ("CmdaError", "DataError", "UsageError"),
}
_PUBLIC = {name: home for home, names in _HOMES.items() for name in names}
__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PUBLIC[name]}"), name)
