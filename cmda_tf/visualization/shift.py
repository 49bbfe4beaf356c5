"""Figure 1: the domain shift, the same structures in two modalities and their histograms."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from cmda_tf.data.structures import Structures
from cmda_tf.data.subjects import Subject
from cmda_tf.visualization.canvas import Canvas
from cmda_tf.visualization.palette import add_legend
from cmda_tf.visualization.segmentation import best_slice, show_slice

BINS = 60


def figure1(subjects: Mapping[str, Sequence[Subject]], structures: Structures) -> Canvas:
    """Draws the first subject of each of two modalities and the histograms over all of them.

    Two slices with the structures outlined above one histogram per structure, the first modality
    filled, the second as a line, each with unit area. ValueError if there are not two, or one has
    no subject or one without label.
    """
    for members in subjects.values():
        if len(subjects) != 2 or not members or any(s.label is None for s in members):
            raise ValueError("expected at least one subject of two modalities, all with labels")
    figure = Canvas(7.6, 6.0, layout="constrained")
    grid = figure.subfigures(2, 1, squeeze=False, height_ratios=(3.7, 2.3))
    slices, histograms = grid[:, 0]
    for panel, (title, members) in zip(slices.subplots(1, 2), subjects.items()):
        _draw_slice(panel, members[0], structures)
        panel.set_title(f"{title} ({members[0].id})", fontsize=10)
    add_legend(slices, structures)
    panels = histograms.subplots(1, len(structures.columns), sharex=True, squeeze=False)[0]
    _draw_histograms(panels, subjects, structures)
    what = "intensity of the prepared volumes (mean 0, deviation 1)"
    histograms.supxlabel(f"{what}; spikes: the brightest, cut off", fontsize=9)
    first, second = subjects
    filled = Patch(facecolor="#bbbbbb", label=f"{first} (filled)")
    line = Line2D([], [], color="black", linewidth=1.2, label=f"{second} (line)")
    histograms.legend(handles=[filled, line], loc="outside upper center", ncols=2, fontsize=9)
    return figure


def intensities(subjects: Sequence[Subject], index: int) -> np.ndarray:
    """All intensities inside a structure, by its class index; float32 [N], over all subjects."""
    return np.concatenate([s.image[s.truth == index].astype(np.float32) for s in subjects])


def _draw_slice(panel: Axes, subject: Subject, structures: Structures) -> None:
    k = best_slice(subject.truth)
    show_slice(panel, subject.image, k)
    # From the last column: in the heart that is the myocardium, which shares outlines.
    for item in reversed(structures.in_columns):
        mask_ji = subject.truth[k] == item.index
        if mask_ji.any():
            # Just inside the voxels' edge (0.5), so that neighbors' outlines stand apart.
            panel.contour(mask_ji, [0.75], colors=item.color, linewidths=1.3)


def _draw_histograms(
    panels: Sequence[Axes], subjects: Mapping[str, Sequence[Subject]], structures: Structures
) -> None:
    """One panel per structure; all share their bins, so that they can be compared."""
    of_both = list(subjects.values())
    values = {s.name: [intensities(members, s.index) for members in of_both] for s in structures}
    edges = _bin_edges(np.concatenate([v for pair in values.values() for v in pair]))
    brightest = [np.float32(s.image.max()) for members in of_both for s in members]
    for panel, item in zip(panels, structures.in_columns):
        filled, line = values[item.name]
        if filled.size:
            panel.hist(filled, edges, density=True, color=item.color, edgecolor="none")
        if line.size:
            panel.hist(line, edges, density=True, histtype="step", color="black", linewidth=1.2)
        if top := max(_tallest(inside, brightest, edges) for inside in (filled, line)):
            panel.set_ylim(0, 1.1 * top)
        spreads = [_spread(name, inside) for name, inside in zip(subjects, (filled, line))]
        panel.set_title("\n".join([item.name, *spreads]), fontsize=8)
        panel.tick_params(labelsize=8)
        panel.set_yticks([])
        panel.spines[["left", "top", "right"]].set_visible(False)


def _bin_edges(values: np.ndarray) -> list[float]:
    """Equal bins over all but the most extreme values."""
    low, high = np.percentile(values, (0.1, 99.9)) if values.size else (0.0, 1.0)
    return np.linspace(low, high if high > low else low + 1.0, BINS + 1).tolist()


def _tallest(values: np.ndarray, brightest: Sequence[float], edges: list[float]) -> float:
    """The tallest bin's density, but for the subjects' brightest intensities.

    There the preparation gathers all that was brighter: spikes beside which nothing can be seen.
    """
    counts, _ = np.histogram(values[~np.isin(values, brightest)], edges)
    return counts.max() / max(1, len(values)) / (edges[1] - edges[0])


def _spread(modality: str, values: np.ndarray) -> str:
    if not values.size:
        return f"{modality} none"
    return f"{modality} {values.mean():.2f} ± {values.std():.2f}"
