"""Settings of the segmentation loss."""

from dataclasses import dataclass

from cmda_tf.settings import Settings, setting


@dataclass(frozen=True)
class SegmentationLoss(Settings):
    """Eq. 1, the hybrid loss."""

    key = "loss"
    dice_weight: float = setting(1.0, "Lambda of Eq. 1.", minimum=0)
    class_weights: bool = setting(True, "Weigh the cross-entropy by w_c of Eq. 1.")
