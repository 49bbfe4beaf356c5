"""Settings of what a model does on target slices before it predicts."""

from dataclasses import dataclass

from cmda_tf.settings import Settings, setting


@dataclass(frozen=True)
class ForegroundSettings(Settings):
    """Which slices take part in an adaptation."""

    key = "slices"
    foreground_only: bool = setting(
        False,
        "Take BatchNorm statistics, and train critic and DAM, on slices alone in which the source "
        "segmenter finds a structure.",
    )


@dataclass(frozen=True)
class StatisticsSettings(Settings):
    """The DAM's BatchNorm statistics in the final model."""

    key = "statistics"
    refresh_statistics: bool = setting(
        True, "Re-estimate the DAM's BatchNorm statistics on target slices when done."
    )
