"""Settings of an evaluation."""

from dataclasses import dataclass

from cmda_tf.settings import Settings, setting


@dataclass(frozen=True)
class EvaluateSettings(Settings):
    """What is measured, and where the report goes."""

    runs: str = setting("runs", "Folder that holds the runs.")
    only: tuple[str, ...] = setting(
        (), "Names of the runs to evaluate. Default: all finished ones."
    )
    out: str | None = setting(None, "Folder for the report. Default: the folder of the runs.")
    prepared: str | None = setting(None, "Prepared data. Default: what the runs were trained on.")
    palette: str = setting("paper", "Colors of the figures.", choices=("paper", "colorblind_safe"))
    measure_snapshots: bool = setting(
        True, "Measure each adaptation's snapshots, to say how far the chosen one is from the best."
    )
    published: bool = setting(False, "Print the paper's own numbers beside ours.")
    threads: int = setting(0, "CPU threads; 0: one per core.", minimum=0)
