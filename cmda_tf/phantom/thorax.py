"""The body around the heart: outline, chest wall, lungs, spine, diaphragm, abdomen."""

from dataclasses import dataclass

import numpy as np

from cmda_tf.phantom.painting import TISSUE_ID, Layer, VoxelPainting
from cmda_tf.phantom.shapes import Ellipsoid, tube

CAGE_MM = 10.0  # thickness of the layer that holds the ribs
RIB_PITCH_MM = 25.0
SLAB = 16  # slices drawn at a time: temporaries stay in the processor's cache


@dataclass(frozen=True)
class Thorax:
    """What differs from person to person (mm)."""

    midline: float
    half_width: float
    half_depth: float
    center_y: float
    muscle: float
    fat: float
    rib_phase: float
    liver_dome: float
    stomach_dome: float
    gas: bool

    @classmethod
    def sample(cls, rng: np.random.Generator, heart_size: float) -> "Thorax":
        """Draws a person's thorax, sized with the heart."""
        return cls(
            midline=rng.uniform(-14, -7),
            half_width=heart_size * rng.uniform(122, 138),
            half_depth=heart_size * rng.uniform(86, 94),
            center_y=rng.uniform(15, 19),
            muscle=rng.uniform(7, 13),
            fat=float(np.clip(rng.gamma(3, 5), 4, 35)),
            rib_phase=rng.uniform(0, 1),
            liver_dome=rng.uniform(-36, -22),
            stomach_dome=rng.uniform(-50, -36),
            gas=bool(rng.random() < 0.5),
        )


def draw(painting: VoxelPainting, t: Thorax, rng: np.random.Generator) -> None:
    """Paints the body without heart and great vessels."""
    for first in range(0, len(painting.tissue), SLAB):
        slab = slice(first, first + SLAB)
        painting.tissue[slab] = _torso(t, painting.points[:, slab])
    painting.paint(_spine(t))
    painting.paint(_lung_vessels(t, rng))


def _torso(t: Thorax, points: np.ndarray) -> np.ndarray:
    """Tissue ids (uint8) of chest wall, lungs and abdomen."""
    x, y, z = points
    narrowing = 1 - 0.35 * np.clip((z - 40) / 150, 0, 1) ** 2
    u = np.abs(x - t.midline) / (t.half_width * narrowing)
    v = np.abs(y - t.center_y) / (t.half_depth * narrowing)
    # Outside the pleura, distance to it in mm (that of the chest's front and back).
    depth = (np.sqrt(np.sqrt(u**4 + v**4 + 1.3 * (u * v) ** 2)) - 1) * t.half_depth
    tissue = _chest_wall(t, depth, x, y)
    _ribs(t, tissue, depth, x, y, z)
    within = depth < 0
    tissue[within] = TISSUE_ID["lung"]
    _abdomen(t, tissue, within, x, y, z)
    return tissue


def _chest_wall(t: Thorax, depth, x, y) -> np.ndarray:
    """Muscle, fat, skin and air in layers; pectoral muscles thicken the front."""
    pectoral = 7 * np.exp(-(((np.abs(x - t.midline) - 55) / 32) ** 2)) * (y < t.center_y)
    muscle = CAGE_MM + t.muscle + pectoral - t.muscle * np.exp(-(((x - t.midline) / 16) ** 2))
    skin = muscle + t.fat
    tissue = np.full(depth.shape, TISSUE_ID["muscle"], np.uint8)
    tissue[depth > muscle] = TISSUE_ID["fat"]
    tissue[depth > skin] = TISSUE_ID["skin"]
    tissue[depth > skin + 2] = TISSUE_ID["air"]
    return tissue


def _ribs(t: Thorax, tissue, depth, x, y, z) -> None:
    """Ribs that descend towards the front, their cartilages, and the sternum."""
    cage = (depth > 0.5) & (depth < CAGE_MM)
    x, y, z, depth = x[cage], y[cage], z[cage], depth[cage]
    side, front = np.abs(x - t.midline), y < t.center_y - 0.3 * t.half_depth
    phase = (z - 0.4 * (y - t.center_y)) / RIB_PITCH_MM + t.rib_phase
    height = (phase - np.round(phase)) * RIB_PITCH_MM
    bone = (height / 6.5) ** 2 + ((depth - 5.5) / 4.6) ** 2
    cortex, marrow, cartilage = (TISSUE_ID[n] for n in ("cortical_bone", "marrow", "cartilage"))
    costal, sternum = front & (side < 60), front & (side < 17) & (z > -70)
    within = tissue[cage]
    within[(bone < 1) & costal] = cartilage
    within[(bone < 1) & ~costal] = cortex
    within[(bone < 0.45) & ~costal] = marrow
    within[sternum] = cortex
    within[sternum & (side < 15.5) & (depth > 2.2) & (depth < CAGE_MM - 1.5)] = marrow
    tissue[cage] = within


def _abdomen(t: Thorax, tissue, within, x, y, z) -> None:
    """Diaphragm and what lies under it."""
    far = (x - t.midline) / t.half_width
    dome = -54 - 70 * np.clip(np.abs(far) - 0.55, 0, None)
    dome += (t.liver_dome + 54) * np.exp(-(((x + 72) / 55) ** 2) - ((y - 12) / 60) ** 2)
    dome += (t.stomach_dome + 54) * np.exp(-(((x - 52) / 50) ** 2) - ((y - 25) / 60) ** 2)
    below = within & (z < dome)
    tissue[below] = TISSUE_ID["muscle"]
    below &= z < dome - 3
    tissue[below] = TISSUE_ID["fat"]
    liver = below & (x < 18 - 0.5 * (z + 54) - 0.25 * (y - t.center_y)) & (z < dome - 4)
    tissue[liver] = TISSUE_ID["liver"]
    reach = ((x - 52) / 48) ** 2 + ((y - 12) / 52) ** 2 + ((z + 100) / 56) ** 2
    stomach = below & ~liver & (reach < 1)
    tissue[stomach] = TISSUE_ID["stomach"]
    if t.gas:  # gas collects in front while the patient lies on the back
        tissue[stomach & (reach < 0.8) & (y < 2)] = TISSUE_ID["air"]


def _spine(t: Thorax) -> list[Layer]:
    """Vertebral bodies and discs, the canal, the arches and the muscles beside them."""
    x, front = t.midline, t.center_y + 0.43 * t.half_depth
    muscles = [Ellipsoid((x + dx, front + 46, 0), (24, 16, 190), power=3) for dx in (-30, 30)]
    column = Ellipsoid((x, front + 17, 0), (17.5, 15, 190), power=3)
    layers = [Layer(muscles, "muscle"), Layer([column], "disc")]
    for level in np.arange(-7, 8) * 26.0:
        ribs = Ellipsoid((x, front + 30, level + 8), (38, 6, 6))
        arch = Ellipsoid((x, front + 46, level - 4), (20, 7, 8))
        spine = Ellipsoid((x, front + 60, level - 12), (3.5, 14, 9))
        body = Ellipsoid((x, front + 17, level), (19, 16.5, 11.5), power=4)
        for bone in (ribs, arch, spine, body):
            layers.append(Layer([bone], "cortical_bone"))
            layers.append(Layer([bone.grown(-1.6)], "marrow"))
    canal = (x, front + 38, -200), (x, front + 38, 200)
    return [*layers, Layer(tube(canal, 8.5), "fat"), Layer(tube(canal, 5.0), "cord")]


def _lung_vessels(t: Thorax, rng: np.random.Generator) -> list[Layer]:
    """Branching vessels from each hilum into its lung, painted over lung only."""
    branches = []
    for side, hilum in ((-1, np.array([-48.0, 22, 34])), (1, np.array([42.0, 34, 36]))):
        for _ in range(16):
            reach = rng.uniform((30, -75, -95), (85, 70, 80)) * (side, 1, 1)
            middle = hilum + 0.45 * reach + rng.normal(0, 6, 3)
            radius = rng.uniform(2.2, 4)
            branches += tube([hilum, middle], [radius, 0.7 * radius], step_mm=20)
            for _ in range(4):
                tip = hilum + reach + rng.normal(0, 22, 3)
                branches += tube([middle, tip], [0.65 * radius, 0.8], step_mm=20)
    return [Layer(branches, "lung_vessel", over=("lung",))]
