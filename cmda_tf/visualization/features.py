"""What adaptation does to features: maps before and after, and their principal components."""

from collections.abc import Mapping, Sequence

import numpy as np

from cmda_tf.visualization.canvas import Canvas, label_axes
from cmda_tf.visualization.palette import LINES


def draw_feature_maps(
    image: np.ndarray, maps: Mapping[str, np.ndarray], channels: Sequence[int]
) -> Canvas:
    """Feature maps of one slice `[H, W]`: a row per network, a column and gray scale per channel.

    The maps are `[h, w, C]`, by the rows' titles; ValueError without any, or such a channel.
    """
    if not maps or not all(0 <= c < m.shape[-1] for m in maps.values() for c in channels):
        raise ValueError("expected at least one network's maps, with all the channels asked for")
    figure = Canvas(1.3 * (len(channels) + 1), 1.4 * len(maps), layout="constrained")
    rows = figure.subplots(len(maps), len(channels) + 1, squeeze=False)
    for panels, (title, features) in zip(rows, maps.items()):
        panels[0].imshow(image, cmap="gray")
        panels[0].set_ylabel(title, fontsize=8)
        for panel, channel in zip(panels[1:], channels):
            planes = [m[..., channel] for m in maps.values()]
            low, high = min(x.min() for x in planes), max(x.max() for x in planes)
            panel.imshow(features[..., channel], cmap="gray", vmin=low, vmax=high)
    for panel, channel in zip(rows[0][1:], channels):
        panel.set_title(f"channel {channel}", fontsize=8)
    for panel in rows.flat:
        panel.set(xticks=[], yticks=[])
    return figure


def most_varying(features: np.ndarray, count: int) -> list[int]:
    """The channels of `[..., C]` features with the largest variance, largest first."""
    variances = features.reshape(-1, features.shape[-1]).var(axis=0)
    return [int(c) for c in np.argsort(-variances, kind="stable")[:count]]


def sample_vectors(features: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    """`[count, C]` feature vectors from random places of `[B, h, w, C]` maps.

    The places depend on `seed` and the shape alone, so that maps of two networks for the same
    images are sampled at the same places.
    """
    vectors = features.reshape(-1, features.shape[-1])
    chosen = np.random.default_rng(seed).choice(len(vectors), min(count, len(vectors)), False)
    return vectors[chosen]


def principal_components(groups: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], list]:
    """First two principal components of all groups' vectors `[N, C]` together, C at least 2.

    Gives each group's coordinates `[N, 2]`, and the components' shares of the total variance.
    """
    vectors = np.concatenate(list(groups.values())).astype(np.float64)
    mean = vectors.mean(axis=0)
    _, singular, axes = np.linalg.svd(vectors - mean, full_matrices=False)
    shares = singular[:2] ** 2 / max((singular**2).sum(), 1e-300)
    # The sign of a component is arbitrary: its largest entry is made positive.
    signs = np.sign(axes[range(2), np.abs(axes[:2]).argmax(axis=1)])
    basis = (axes[:2] * signs[:, None]).T
    return {name: (x - mean) @ basis for name, x in groups.items()}, shares.tolist()


def draw_components(groups: Mapping[str, np.ndarray]) -> Canvas:
    """Scatter of `principal_components` of 1 to 4 groups (else ValueError), a color for each."""
    if not 1 <= len(groups) <= len(LINES):
        raise ValueError(f"expected 1 to {len(LINES)} groups, found {len(groups)}")
    figure = Canvas(4.6, 3.8, layout="constrained")
    panel = figure.subplots()
    components, shares = principal_components(groups)
    for color, (name, points) in zip(LINES, components.items()):
        x, y = points.T
        panel.scatter(x, y, s=4, alpha=0.35, color=color, linewidths=0, label=name)
    first, second = (f"{share:.0%}" for share in shares)
    titles = f"first component ({first} of variance)", f"second component ({second})"
    label_axes(panel, *titles, grid=False)
    for handle in filter(None, panel.legend(fontsize=8, markerscale=3).legend_handles):
        handle.set_alpha(1)
    return figure
