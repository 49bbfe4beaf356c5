"""The heart, the great vessels and the airways as coats of paint, in the coordinates of `heart`."""

import numpy as np

from cmda_tf.phantom.heart import Heart, Solids
from cmda_tf.phantom.painting import AA, LA, LV, LV_MYO, PA, RA, RV, Layer
from cmda_tf.phantom.shapes import Cut, Ellipsoid, Ridges, tube, unit

# Points of the centerline and the radius at each.
_TRACHEA = ((-9, 14, 150), (-9, 22, 105), (-9, 27, 66)), (8.5, 8.5, 9.0)
_BRONCHI = (
    (((-9, 27, 66), (-26, 27, 50), (-46, 22, 34)), (7.5, 7.0, 6.0)),
    (((-9, 27, 66), (12, 33, 52), (42, 34, 36)), (7.0, 6.0, 5.5)),
)
_ESOPHAGUS = ((-5, 38, 150), (-5, 44, 60), (-3, 46, 10), (4, 40, -50)), (6.5, 6.5, 7.0, 7.5)


def layers(h: Heart) -> list[Layer]:
    """Everything of the heart and great vessels, in painting order."""
    solids = Solids(h)
    return [
        _fat(h, solids),
        *_airways(h),
        *_right_heart(h, solids),
        *_left_atrium(h, solids),
        *_left_ventricle(h, solids),
        *_aorta(h),
        *_coronaries(h),
    ]


def _aorta_path(h: Heart) -> tuple[np.ndarray, list[float]]:
    """Centerline from the left ventricle down: points [N, 3] in mm, radii [N] of the mean heart."""
    r, up = h.aorta_radius, h.arch_shift
    root = [(-0.5, -8.5, 1), (-7, -15, 11), (-15, -20, 26), (-21, -20, 44), (-20, -13, 62)]
    arch = [(-13, 1, 78 + up), (1, 23, 85 + up), (11, 44, 74 + up), (13, 55, 50)]
    down = [(13, 57, 15), (11, 57, -30), (6, 55, -75), (2, 53, -150)]
    radii = [r - 2, r + 1.5, r - 0.5, r, r - 0.3, r - 1, r - 2, r - 3, r - 3.5, r - 4, r - 4.2]
    points = np.concatenate([h.place(*root), h.scaled(*arch, *down)])
    return points, [*radii, r - 4.5, r - 5]


def _trunk_path(h: Heart) -> tuple[np.ndarray, list[float]]:
    """Likewise, from the pulmonary valve to the bifurcation."""
    r = h.pa_radius
    path = h.place((5, -41, 20), (11, -34, 34), (14, -19, 46), (10, -2, 53))
    return path, [r, r + 1, r + 0.5, r - 0.5]


def _fat(h: Heart, solids: Solids) -> Layer:
    """Epicardial and mediastinal fat, which the chambers are then painted into."""
    column = h.ellipsoid(h.scaled((-8, 2, 40))[0], (24, 58, 110), power=3)
    chambers = [solids.lv_outer.grown(h.fat * 0.6), solids.rv.grown(h.fat + 3)]
    chambers += [solids.ra.grown(h.fat * 0.8), solids.la.grown(h.fat * 0.5)]
    vessels = h.tube(*_aorta_path(h), h.fat * 0.6) + h.tube(*_trunk_path(h), h.fat + 1)
    return Layer([column, *chambers, *vessels], "fat")


def _airways(h: Heart) -> list[Layer]:
    """Trachea, main bronchi and esophagus."""
    gullet, *air = ((h.scaled(*path), radii) for path, radii in (_ESOPHAGUS, _TRACHEA, *_BRONCHI))
    return [
        Layer(h.tube(*gullet), "muscle"),
        *(Layer(h.tube(*path, margin_mm=1.5), "cartilage") for path in air),
        *(Layer(h.tube(*path), "air") for path in air),
    ]


def _vessel(
    h: Heart, points, radii, tissue: str, label: int | None = 0, wall_mm: float = 1.6, cuts=()
) -> list[Layer]:
    """A wall and the blood within it."""
    wall, blood = ([Cut(c, cuts) for c in h.tube(points, radii, margin)] for margin in (wall_mm, 0))
    return [Layer(wall, "vessel_wall", 0), Layer(blood, tissue, label)]


def _ridges(h: Heart, cavity: Ellipsoid, depth_mm: float, threshold: float) -> Ridges:
    """Trabeculae on the inside of a cavity's wall."""
    return Ridges(cavity, cavity.grown(-depth_mm), np.array(h.trabecula_waves), threshold)


def _right_heart(h: Heart, solids: Solids) -> list[Layer]:
    """Caval veins, right atrium, right ventricle with its outflow tract, pulmonary artery."""
    r, cuts = h.pa_radius, [h.apical(-3)]
    svc = h.scaled((-40, 2, 10), (-38, 4, 40), (-36, 5, 75), (-33, 2, 130))
    ivc = h.scaled((-36, 8, -20), (-34, 16, -45), (-30, 24, -80), (-26, 30, -140))
    right = h.place((10, -2, 53), (-10, 10, 50), (-32, 13, 49), (-56, 18, 42))
    left = h.place((10, -2, 53), (22, 14, 56), (36, 30, 56), (50, 40, 46))
    branch = r - 2, r - 3, r - 4, 5
    outflow = h.place((-8, -42, -12), (-3, -44, 4), (5, -41, 20)), (20, 16, r)
    return [
        *_vessel(h, svc, 9, "svc_blood", None),
        *_vessel(h, ivc, 11, "ivc_blood", None),
        Layer([solids.ra.grown(2)], "vessel_wall"),
        Layer(h.tube(*outflow, margin_mm=3), "myocardium"),
        Layer([Cut(solids.rv.grown(3.2), cuts)], "myocardium"),
        *_vessel(h, right, branch, "pa_blood", PA),
        *_vessel(h, left, branch, "pa_blood", PA),
        *_vessel(h, *_trunk_path(h), "pa_blood", PA),
        Layer([solids.ra], "ra_blood", RA),
        Layer(h.tube(*outflow), "rv_blood", RV),
        Layer([Cut(solids.rv, cuts)], "rv_blood", RV),
        Layer([Cut(_ridges(h, solids.rv, 5, 0.12), cuts)], "myocardium"),
    ]


def _left_atrium(h: Heart, solids: Solids) -> list[Layer]:
    """Left atrium with its appendage and four pulmonary veins, which its label follows 10 mm."""
    veins = []
    for side, z in ((-1, 19), (-1, 2), (1, 20), (1, 3)):
        start = h.place((-11 + 16 * side, 24, z * 0.8))[0]  # together they would round otherwise
        ostium = h.place((-11 + 36 * side, 31, z))[0]
        end = h.place((-11 + 62 * side, 40, z * 1.4 - 2))[0]
        veins += _vessel(h, [ostium, end], (5.6, 4.2), "la_blood")
        veins += _vessel(h, [start, ostium], (9, 6.6), "la_blood", LA)
    appendage = h.place((12, 8, 20), (24, -6, 22), (30, -17, 17)), (9.5, 7.5, 4.5)
    return [
        *veins,
        *_vessel(h, *appendage, "la_blood", LA),
        Layer([Cut(solids.la.grown(2), [h.basal])], "vessel_wall", 0),
        Layer(h.tube(*appendage), "la_blood", LA),
        Layer([Cut(solids.la, [h.basal])], "la_blood", LA),
    ]


def _left_ventricle(h: Heart, solids: Solids) -> list[Layer]:
    """Myocardium, cavity, and within the cavity papillary muscles, trabeculae and leaflets.

    They keep the cavity's label, as in the field's manual segmentations.
    """
    r, cuts, cavity = h.lv_radius, [h.apical(0)], ("lv_blood",)
    papillary = []
    for septal, inferior in ((-0.45, 0.62), (-0.50, -0.55)):
        foot_to_tip = ((62, 0.95), (47, 0.92), (32, 0.78))
        path = [h.at(long, septal * r * out, inferior * r * out) for long, out in foot_to_tip]
        papillary += h.tube(path, (5.0, 4.6, 3.0))
    cords = []
    for below, above in ((0.48, 0.2), (-0.43, -0.2)):
        chorda = h.at(32, -0.4 * r, below * r), h.at(6, -0.25 * r, above * r)
        cords += tube(chorda, h.size, step_mm=40)
    leaflet = h.ellipsoid(h.at(6, 0.12 * r, 0), (9.0, 1.1, 13), axes=h.axes)
    trabeculae = Cut(_ridges(h, solids.lv, 4.5, 0.10), [h.apical(24)])
    return [
        Layer([Cut(solids.lv_outer, cuts)], "myocardium", LV_MYO),
        Layer([Cut(solids.lv, cuts)], "lv_blood", LV),
        Layer([trabeculae, *papillary], "myocardium", over=cavity),
        Layer([*cords, leaflet], "valve", over=cavity),
    ]


def _aorta(h: Heart) -> list[Layer]:
    """Aorta; only its ascending part is labeled, from the valve, in the mitral plane."""
    points, radii = _aorta_path(h)
    end = points[4]  # where the arch leaves the sagittal course upwards
    cuts = [h.basal, (end, unit(points[5] - points[3]))]
    near = [c for c in h.tube(points, radii) if c.start[2] < end[2] + 25 and c.start[1] < 25]
    valve = h.ellipsoid(points[1], (1, 13, 13), axes=_across(points[1] - points[0]))
    arteries = []
    for path, radius in (
        (((-15, -4, 78), (-22, -8, 105), (-26, -10, 140)), 6.0),
        (((-4, 12, 84), (-2, 8, 110), (0, 6, 140)), 4.0),
        (((4, 24, 84), (10, 24, 110), (14, 22, 140)), 4.8),
    ):
        arteries += _vessel(h, h.scaled(*path), radius, "aorta_blood", wall_mm=1.0)
    return [
        *arteries,
        *_vessel(h, points, radii, "aorta_blood", cuts=[h.basal]),
        Layer([Cut(c, cuts) for c in near], "aorta_blood", AA),
        Layer([valve], "valve", over=("aorta_blood",)),
    ]


def _across(direction: np.ndarray) -> np.ndarray:
    """Unit axes as rows, the first along `direction`."""
    first = unit(direction)
    second = unit(np.cross(first, [1.0, 0, 0]))
    return np.stack([first, second, np.cross(first, second)])


def _coronaries(h: Heart) -> list[Layer]:
    """The three main coronary arteries, running in the epicardial fat."""
    r = h.lv_radius + h.wall + 2
    anterior = [h.at(a, 0.62 * r * f, -0.78 * r * f) for a, f in ((2, 1), (25, 1.03), (55, 0.95))]
    around = [h.at(-1, b * r, c * r) for b, c in ((0.45, -0.85), (-0.5, -0.8), (-0.95, 0.0))]
    right = h.place((-10, -36, 8), (-34, -36, -2), (-40, -30, -22), (-26, -14, -34))
    paths = ((anterior, (2, 1.6, 1.2)), (around, (1.8, 1.6, 1.2)), (right, (2, 1.9, 1.7, 1.4)))
    return [Layer(tube(*path), "aorta_blood", over=("fat", "lung")) for path in paths]
