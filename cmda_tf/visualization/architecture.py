"""The architecture (the paper, Fig. 2), drawn from the topology table."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Patch

from cmda_tf.models.topology import DEFAULT_TAPS, TOPOLOGY, Unit, check_depth, check_taps
from cmda_tf.visualization.canvas import Canvas

BOX_WIDTH, GAP = 1.0, 0.28
LANES = {"source": 2.0, "target": 0.0, "shared": 1.0, "critic": -1.9}
COLORS = {"source": "#9ecae1", "target": "#fdae6b", "shared": "#c7c7c7", "critic": "#bcbddc"}
NAMES = ("Segmenter, layers 1..d", "DAM", "Shared layers, frozen in adaptation", "Critic")
TAPS = "#54278f"
CENTERED: dict[str, Any] = {"ha": "center", "va": "center"}


def draw(depth: int = 13, taps: Sequence[int] = DEFAULT_TAPS) -> Canvas:
    """Draws segmenter, DAM of depth d, router, and critic with the layers that it taps.

    UsageError for an illegal depth or tap (`topology.LEGAL_DEPTHS`, `topology.TAPPABLE_LAYERS`).
    """
    check_depth(depth)
    taps = check_taps(tuple(taps))
    boxes = _boxes(depth)
    figure = Canvas(15, 5.4, layout="constrained")
    panel = figure.subplots()
    for index, units in enumerate(boxes):
        for lane in _lanes(units, depth):
            _draw_box(panel, lane, _left(index), _text(units), fontsize=7.5, linespacing=1.35)
            # The arrow, or at the router the two arrows, from the previous box.
            before = _lanes(boxes[index - 1], depth) if index and lane == "shared" else (lane,)
            for origin in before:
                start = (_left(index) - GAP if index else -0.35, LANES[origin])
                _draw_arrow(panel, start, (_left(index), LANES[lane]))
            _draw_taps(panel, index, lane, units, taps)
    for lane, text in (("source", "source\nimage"), ("target", "target\nimage")):
        panel.text(-0.75, LANES[lane], text, fontsize=9, **CENTERED)
    end = _left(len(boxes)) - GAP
    _draw_arrow(panel, (end, LANES["shared"]), (end + 0.35, LANES["shared"]))
    panel.text(end + 0.75, LANES["shared"], "softmax", fontsize=9, **CENTERED)
    of_critic = (
        "Domain critic: tapped features of either path, logits and argmax mask, "
        "each at full resolution and concatenated, to one score"
    )
    _draw_box(panel, "critic", 0, of_critic, width=end, height=0.7, fontsize=9)
    colors = zip(NAMES, COLORS.values())
    handles = [Patch(facecolor=color, edgecolor="black", label=name) for name, color in colors]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=9)
    panel.set(xlim=(-1.3, _left(len(boxes)) + 0.9), ylim=(-2.5, 2.75), aspect=1)
    panel.set_title(f"Adaptation depth d = {depth}", fontsize=11)
    panel.axis("off")
    return figure


def _boxes(depth: int) -> list[tuple[Unit, ...]]:
    """The table's stages; one that the depth cuts becomes two boxes."""
    groups = groupby(TOPOLOGY, key=lambda unit: (unit.stage, unit.last_layer <= depth))
    return [tuple(units) for _, units in groups]


def _lanes(units: Sequence[Unit], depth: int) -> tuple[str, ...]:
    return ("source", "target") if units[-1].last_layer <= depth else ("shared",)


def _left(index: int) -> float:
    return index * (BOX_WIDTH + GAP)


def _draw_box(
    panel: Axes, lane: str, x: float, text: str, width=BOX_WIDTH, height=1.0, **font: Any
) -> None:
    """A box in a lane, from x to the right."""
    corner, style = (x, LANES[lane] - height / 2), "round,pad=0.02,rounding_size=0.06"
    box = FancyBboxPatch(corner, width, height, style, facecolor=COLORS[lane], lw=0.8)
    panel.add_patch(box)
    panel.text(x + width / 2, LANES[lane], text, **CENTERED, **font)


def _text(units: Sequence[Unit]) -> str:
    """What the table says of a stage: name, widths, layers and resolution."""
    first, last = units[0], units[-1]
    begin = first.last_layer - (first.kind == "residual")
    layers = f"layer {begin}" if begin == last.last_layer else f"layers {begin}-{last.last_layer}"
    widths = sorted({u.width for u in units if u.width})
    default = {"upsample": "8 per class", "output": "classes"}.get(first.kind, "")
    width = ", ".join(map(str, widths)) or default
    dilation = f", dilation {first.dilation}" if first.dilation > 1 else ""
    resolution = "1/1" if last.stride == 1 else f"1/{last.stride}"
    return f"{first.stage.upper()}\n{width}{dilation}\n{layers}\nout {resolution}"


def _draw_taps(
    panel: Axes, index: int, lane: str, units: Sequence[Unit], taps: Sequence[int]
) -> None:
    """Dashed lines from tapped layers to the critic; those of the source are only marked."""
    for unit in units:
        if unit.last_layer not in taps:
            continue
        x = _left(index) + BOX_WIDTH * (1 + units.index(unit)) / (1 + len(units))
        text = f"tap {unit.last_layer}"
        panel.text(x, LANES[lane] + 0.53, text, ha="center", va="bottom", fontsize=7, color=TAPS)
        if lane != "source":
            start, end = (x, LANES[lane] - 0.52), (x, LANES["critic"] + 0.42)
            _draw_arrow(panel, start, end, linestyle="dashed", color=TAPS)


def _draw_arrow(panel: Axes, start: tuple, end: tuple, color="black", linestyle="solid") -> None:
    look: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 9, "lw": 0.9}
    look |= {"shrinkA": 0, "shrinkB": 0, "color": color, "linestyle": linestyle}
    panel.add_patch(FancyArrowPatch(start, end, **look))
