"""Learning curves of a run, read from its TensorBoard logs."""

from collections.abc import Mapping
from pathlib import Path

from cmda_tf.errors import DataError
from cmda_tf.visualization.canvas import Canvas, label_axes
from cmda_tf.visualization.palette import LINES

Curve = tuple[list[int], list[float]]


def read_curves(run_folder: str | Path) -> dict[str, Curve]:
    """All scalars that a run logged: (update numbers, values) by tag, such as `warmup/distance`.

    Where a resumed run logged an update twice, the later value counts. DataError without logs.
    """
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    logs = Path(run_folder) / "logs"
    events = EventAccumulator(str(logs), size_guidance={"tensors": 0})
    if not logs.is_dir() or not events.Reload().Tags()["tensors"]:
        raise DataError(f"{logs}: expected TensorBoard logs of a run, found none")
    curves = {}
    for tag in events.Tags()["tensors"]:
        arrays = {e.step: make_ndarray(e.tensor_proto) for e in events.Tensors(tag)}
        if all(a.ndim == 0 and a.dtype.kind == "f" for a in arrays.values()):
            steps = sorted(arrays)
            curves[tag] = (steps, [float(arrays[s]) for s in steps])
    return curves


def draw_curves(curves: Mapping[str, Curve], labels: Mapping[str, str]) -> Canvas:
    """One panel per curve, three in a row; `labels` are the panels' titles by tag, in their order.

    ValueError for a tag that is not among the curves.
    """
    if missing := [tag for tag in labels if tag not in curves]:
        raise ValueError(f"no curve {missing[0]!r} among {', '.join(sorted(curves))}")
    columns = min(3, len(labels))
    rows = -(-len(labels) // columns)
    figure = Canvas(3.4 * columns, 2.6 * rows, layout="constrained")
    for number, (tag, title) in enumerate(labels.items(), 1):
        panel = figure.add_subplot(rows, columns, number)
        panel.plot(*curves[tag], color=LINES[0], linewidth=1.2)
        panel.set_title(title, fontsize=10)
        panel.locator_params(axis="x", integer=True)
        label_axes(panel, "update")
    return figure
