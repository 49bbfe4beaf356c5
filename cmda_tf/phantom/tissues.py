"""The one table of tissues, and the label codes of the heart's substructures (MM-WHS).

A tissue's id is its position in `TISSUES`; `mr.PROPERTIES` and `ct.hounsfield` give each of
them its appearance. Blood is one tissue per compartment, since contrast agent and flow differ.
"""

from collections.abc import Sequence

import numpy as np

from cmda_tf.data.structures import HEART

TISSUES = (
    *("air", "lung", "lung_vessel", "fat", "skin", "muscle", "cartilage", "cortical_bone"),
    *("marrow", "disc", "cord", "liver", "stomach", "vessel_wall", "valve", "myocardium"),
    *("lv_blood", "la_blood", "aorta_blood", "rv_blood", "ra_blood", "pa_blood"),
    *("svc_blood", "ivc_blood"),
)
TISSUE_ID = {name: index for index, name in enumerate(TISSUES)}

LV_MYO, LA, LV, AA = HEART.written_codes[1:]
RV, RA, PA = 600, 550, 850  # background to `HEART`


def is_one_of(tissue: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Whether each of the tissue ids (uint8, any shape) is one of the named tissues, bool."""
    return np.isin(tissue, [TISSUE_ID[name] for name in names])
