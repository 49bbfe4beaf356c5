"""Settings of the choice among an adaptation's snapshots."""

from dataclasses import dataclass

from cmda_tf.model_selection.criteria import CRITERIA
from cmda_tf.settings import Settings, setting


@dataclass(frozen=True)
class SelectionSettings(Settings):
    """Which snapshots are kept, and by what one of them is chosen."""

    key = "selection"
    snapshot_every: int = setting(10, "Joint updates between kept snapshots.", minimum=1)
    select: str = setting(
        "source_shapes",
        "Which snapshot becomes the final DAM; no target label.",
        choices=tuple(CRITERIA),
    )
