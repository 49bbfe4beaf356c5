"""cmda_tf: unsupervised cross-modality domain adaptation of segmentation networks.

A TensorFlow 2 / Keras implementation of Dou, Ouyang, Chen, Chen and Heng, "Unsupervised
Cross-Modality Domain Adaptation of ConvNets for Biomedical Image Segmentations with
Adversarial Loss", IJCAI 2018. Importing the package is cheap: TensorFlow is loaded by the
modules that need it.
"""

from typing import Any

__version__ = "0.1.0"


def load_run(path: Any) -> Any:
    """A finished run as a model: `load_run("runs/adapt_d13").predict(image)`.

    Returns:
      A `cmda_tf.inference.trained.TrainedModel`.
    """
    from cmda_tf.inference.trained import load_run

    return load_run(path)
