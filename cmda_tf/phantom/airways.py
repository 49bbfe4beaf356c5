"""Trachea, main bronchi and esophagus: painted into the mediastinum before the vessels.

Coordinates: LPS millimeters from the center of the mitral plane, before scaling.
"""

import numpy as np

from cmda_tf.phantom.canvas import Layer
from cmda_tf.phantom.shapes import tube

_TRACHEA = ((-9, 14, 150), (-9, 22, 105), (-9, 27, 66)), (8.5, 8.5, 9.0)
_BRONCHI = (
    (((-9, 27, 66), (-26, 27, 50), (-46, 22, 34)), (7.5, 7.0, 6.0)),
    (((-9, 27, 66), (12, 33, 52), (42, 34, 36)), (7.0, 6.0, 5.5)),
)
_ESOPHAGUS = ((-5, 38, 150), (-5, 44, 60), (-3, 46, 10), (4, 40, -50)), (6.5, 6.5, 7.0, 7.5)


def layers(size: float) -> list[Layer]:
    """Everything of them, in painting order, for a person of this size."""
    air = [(np.array(path) * size, np.array(radii) * size) for path, radii in (_TRACHEA, *_BRONCHI)]
    gullet, radii = np.array(_ESOPHAGUS[0]) * size, np.array(_ESOPHAGUS[1]) * size
    return [
        *(Layer(c, "muscle") for c in tube(gullet, radii)),
        *(Layer(c, "cartilage") for path in air for c in tube(*path, margin_mm=1.5)),
        *(Layer(c, "air") for path in air for c in tube(*path)),
    ]
