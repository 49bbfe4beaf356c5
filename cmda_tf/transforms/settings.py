"""Settings of the augmentation."""

from dataclasses import dataclass

from cmda_tf.settings import Settings, setting


@dataclass(frozen=True)
class AffineAugmentation(Settings):
    """Random affine maps; each parameter is uniform in [-limit, limit]."""

    key = "affine"
    augment: bool = setting(True, "Augment images (and labels) on the device by affine maps.")
    rotation_degrees: float = setting(15.0, "Largest rotation.", minimum=0, maximum=180)
    zoom: float = setting(0.15, "Largest relative change of size.", minimum=0, maximum=0.9)
    shear: float = setting(0.1, "Largest shear.", minimum=0, maximum=1)
    translation: float = setting(0.08, "Largest shift, share of size.", minimum=0, maximum=1)


@dataclass(frozen=True)
class IntensityAugmentation(Settings):
    """How strong each random effect on intensities is; 0 turns it off.

    They are applied in this order. At 1 the curves' deviation of the logarithm of their slopes
    maps the middle of the range to 0.50 +- 0.13 of it; the bias is the root mean square of the
    fields' logarithm; the network's share and the deviations of blur and noise are uniform from 0.

    The adversarial phase has none: its critic is to know the source as it is. In self-training
    it is that of the source images (`source_weight`).
    """

    key = "intensity"
    intensity_curves: float = setting(
        0.0, "Random monotone intensity curves (about 1).", minimum=0, maximum=3
    )
    bias_field: float = setting(0.0, "Random smooth bias (about 0.3).", minimum=0, maximum=1)
    random_networks: float = setting(
        0.0, "Largest share of a random shallow network's output (about 1).", minimum=0, maximum=1
    )
    contrast: float = setting(0.0, "Largest change of contrast (0.2).", minimum=0, maximum=0.9)
    blur: float = setting(0.0, "Largest blur in pixels (about 0.7).", minimum=0, maximum=5)
    noise: float = setting(0.0, "Largest noise added (about 0.2).", minimum=0, maximum=2)
