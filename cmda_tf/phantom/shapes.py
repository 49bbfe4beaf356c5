"""Analytic solids in patient space (LPS millimeters)."""

# ruff: noqa: D102 - every solid's methods are those that `Solid` documents

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike
from scipy.interpolate import CubicSpline


def unit(vector: ArrayLike) -> np.ndarray:
    """The vector with length 1."""
    return np.asarray(vector) / np.linalg.norm(vector)


def dot(vector: Sequence | np.ndarray, points: Sequence | np.ndarray) -> np.ndarray:
    """Scalar product of a vector and points [3, ...], or of two lists of three arrays."""
    return vector[0] * points[0] + vector[1] * points[1] + vector[2] * points[2]


class Solid(Protocol):
    """What a painting needs to know of a shape."""

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """The bounding box: its lowest and its highest corner, [3] each."""

    def inside(self, points: np.ndarray) -> np.ndarray:
        """Whether each of the points, float32 [3, ...], lies within: bool [...]."""


@dataclass(frozen=True)
class Ellipsoid:
    """A superellipsoid."""

    center: ArrayLike  # [3] in mm
    radii: ArrayLike  # semi-axes [3] in mm
    axes: np.ndarray = field(default_factory=lambda: np.eye(3))  # of unit length, as rows [3, 3]
    power: float = 2.0  # 2 is an ellipsoid; larger values tend to a box

    def grown(self, margin_mm: float) -> "Ellipsoid":
        """The same solid with every semi-axis longer by `margin_mm`."""
        return Ellipsoid(self.center, np.asarray(self.radii) + margin_mm, self.axes, self.power)

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        # The support of an ellipsoid, that of a box for higher powers.
        spokes = np.asarray(self.radii)[:, None] * self.axes
        half = np.linalg.norm(spokes, axis=0) if self.power <= 2 else np.abs(spokes).sum(0)
        return np.asarray(self.center) - half, np.asarray(self.center) + half

    def inside(self, points: np.ndarray) -> np.ndarray:
        scaled_axes = (self.axes / np.asarray(self.radii)[:, None]).astype(np.float32)
        offset = (scaled_axes @ self.center).astype(np.float32)
        total = np.zeros(points.shape[1:], np.float32)
        for row, shift in zip(scaled_axes, offset):
            q = dot(row, points) - shift
            total += q * q if self.power == 2 else np.abs(q) ** np.float32(self.power)
        return total < 1


@dataclass(frozen=True)
class Capsule:
    """A segment with a radius that changes linearly from `start` to `end` (all mm)."""

    start: np.ndarray
    end: np.ndarray
    start_radius: float
    end_radius: float

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        radius = max(self.start_radius, self.end_radius)
        return np.minimum(self.start, self.end) - radius, np.maximum(self.start, self.end) + radius

    def inside(self, points: np.ndarray) -> np.ndarray:
        along = (self.end - self.start).astype(np.float32)
        offset = [p - np.float32(start) for p, start in zip(points, self.start)]
        t = np.clip(dot(offset, along) / np.float32(along @ along + 1e-6), 0, 1)
        offset = [d - t * a for d, a in zip(offset, along)]
        radius = np.float32(self.start_radius) + t * np.float32(self.end_radius - self.start_radius)
        return dot(offset, offset) < radius * radius


@dataclass(frozen=True)
class Cut:
    """A solid without what lies beyond planes, on the side that their normals point to."""

    solid: Solid
    planes: Sequence[tuple[np.ndarray, np.ndarray]]  # (point [3], normal [3]) of each

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        return self.solid.bounds()

    def inside(self, points: np.ndarray) -> np.ndarray:
        mask = self.solid.inside(points)
        for point, normal in self.planes:
            n = np.asarray(normal, np.float32)
            mask &= dot(n, points) <= np.float32(n @ point)
        return mask


@dataclass(frozen=True)
class Ridges:
    """The parts of a shell (between `outer` and `inner`) where a sum of sines is high."""

    outer: Solid
    inner: Solid
    waves: np.ndarray  # wave vectors [N, 3] in radians/mm
    threshold: float  # the sum's share of N above which there is a ridge

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        return self.outer.bounds()

    def inside(self, points: np.ndarray) -> np.ndarray:
        mask = self.outer.inside(points) & ~self.inner.inside(points)
        shell = points[:, mask]
        height = sum(np.sin(wave.astype(np.float32) @ shell) for wave in self.waves)
        mask[mask] = height > self.threshold * len(self.waves)
        return mask


def tube(
    points_mm: ArrayLike, radii_mm: ArrayLike, margin_mm: float = 0.0, step_mm: float = 6.0
) -> list[Capsule]:
    """A vessel: capsules, at most `step_mm` long, along a smooth curve through points [N, 3].

    There is a radius for each of the two or more points, or one for all; the margin (a wall, or fat
    around it) is added.
    """
    points = np.asarray(points_mm, float)
    radii = np.broadcast_to(np.asarray(radii_mm, float), len(points)) + margin_mm
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    stations = np.linspace(0, length[-1], int(np.ceil(length[-1] / step_mm)) + 1)
    if len(points) > 2:
        curve = CubicSpline(length, points)(stations)
    else:
        curve = np.stack([np.interp(stations, length, axis) for axis in points.T], axis=1)
    radius = np.interp(stations, length, radii)
    return [Capsule(*curve[n : n + 2], *radius[n : n + 2]) for n in range(len(curve) - 1)]
