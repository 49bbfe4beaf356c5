"""The one table of tissues, and the label codes of the heart's substructures (MM-WHS).

A tissue's id is its position in `TISSUES`; `mr.PROPERTIES` and `ct.hounsfield` give each of
them its appearance. Blood is one tissue per compartment, since contrast agent and flow differ.
"""

TISSUES = (
    "air",
    "lung",
    "lung_vessel",
    "fat",
    "skin",
    "muscle",
    "cartilage",
    "cortical_bone",
    "marrow",
    "disc",
    "cord",
    "liver",
    "stomach",
    "vessel_wall",
    "valve",
    "myocardium",
    "lv_blood",
    "la_blood",
    "aorta_blood",
    "rv_blood",
    "ra_blood",
    "pa_blood",
    "svc_blood",
    "ivc_blood",
)

TISSUE_ID = {name: index for index, name in enumerate(TISSUES)}

LV_MYO, LA, LV, AA, RV, RA, PA = 205, 420, 500, 820, 600, 550, 850
