"""A person's anatomy on a voxel grid, free of any appearance, in the coordinates of `heart`."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from cmda_tf.phantom import mediastinum, thorax
from cmda_tf.phantom.heart import Heart
from cmda_tf.phantom.painting import VoxelPainting
from cmda_tf.phantom.scanner import Scan, points_from, to_index_from
from cmda_tf.phantom.shapes import dot
from cmda_tf.phantom.thorax import Thorax
from cmda_tf.volumes.geometry import Geometry

# From the mitral plane's center to the middle of the labeled structures' bounding box.
MIDDLE_MM = np.array([8.0, -8.0, 8.0])


@dataclass(frozen=True)
class Warp:
    """A displacement field, a sum of sines for each axis: persons differ by more than scaling."""

    vectors: np.ndarray  # wave vectors [axis, wave, 3] in radians/mm
    phases: np.ndarray  # [axis, wave] in radians
    amplitude_mm: float  # of each sine

    @classmethod
    def sample(cls, rng: np.random.Generator, waves: int = 4) -> "Warp":
        """Draws a warp with wavelengths of 80 to 180 mm."""
        vectors = rng.normal(size=(3, waves, 3))
        vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
        vectors *= 2 * np.pi / rng.uniform(80, 180, (3, waves, 1))
        return cls(vectors, rng.uniform(0, 2 * np.pi, (3, waves)), rng.uniform(0.8, 2.0))

    @property
    def reach_mm(self) -> float:
        """The greatest displacement on any axis."""
        return self.amplitude_mm * self.phases.shape[1]

    def apply(self, points: np.ndarray) -> np.ndarray:
        """Points float32 [3, k, j, i], displaced."""
        warped = points.copy()
        for axis in range(3):
            for vector, phase in zip(self.vectors[axis], self.phases[axis]):
                angle = dot(vector.astype(np.float32), points)
                warped[axis] += np.float32(self.amplitude_mm) * np.sin(angle + np.float32(phase))
        return warped


@dataclass(frozen=True)
class Person:
    """All that anatomy needs to know of one subject."""

    heart: Heart
    thorax: Thorax
    warp: Warp
    texture_seed: int  # of details with no parameters of their own (lung vessels)

    @classmethod
    def sample(cls, rng: np.random.Generator) -> "Person":
        """Draws a person."""
        heart = Heart.sample(rng)
        thorax = Thorax.sample(rng, heart.size)
        return cls(heart, thorax, Warp.sample(rng), int(rng.integers(2**31)))

    def describe(self) -> dict[str, Any]:
        """The parameters worth knowing, JSON-ready."""
        heart = {k: v for k, v in asdict(self.heart).items() if k != "trabecula_waves"}
        return {"heart": heart, "thorax": asdict(self.thorax), "warp_mm": self.warp.amplitude_mm}


@dataclass(frozen=True)
class Scene:
    """A person in a scanner."""

    tissue: np.ndarray  # ids into `painting.TISSUES`, uint8 [k, j, i]
    label: np.ndarray  # MM-WHS codes, int16 [k, j, i]
    points: np.ndarray  # anatomical position of each voxel in mm, float32 [3, k, j, i]
    grid: Geometry  # the voxels'


def draw(person: Person, scan: Scan) -> Scene:
    """Draws a person as a scanner sees them."""
    center = scan.heart_mm - MIDDLE_MM
    points = points_from(center, scan.grid)
    to_index = to_index_from(center, scan.grid)
    painting = VoxelPainting(person.warp.apply(points), to_index, person.warp.reach_mm)
    thorax.draw(painting, person.thorax, np.random.default_rng(person.texture_seed))
    painting.paint(mediastinum.layers(person.heart))
    return Scene(painting.tissue, painting.label, points, scan.grid)
