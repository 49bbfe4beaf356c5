"""How runs are called and which run starts from which: known before any is made."""

from typing import Any

from cmda_tf.settings import AdaptSettings, PhaseSettings, SelfTrainSettings, SourceSettings

PHASES: dict[str, type[PhaseSettings]] = {
    "source": SourceSettings,
    "adapt": AdaptSettings,
    "adabn": AdaptSettings,
    "finetune": SourceSettings,
    "selftrain": SelfTrainSettings,
}


def run_name(phase: str, settings: PhaseSettings) -> str:
    """The default name of a run's folder, such as `source_mr` or `adapt_d13`."""
    if phase in ("source", "finetune"):
        return f"{phase}_{training_domain(phase, settings)}"
    return f"{phase}_d{settings.depth}"


def origin_name(phase: str, settings: PhaseSettings) -> str | None:
    """The folder of the run that a phase starts from, under `--runs`; None if from nothing."""
    if phase == "source":
        return None
    usual = f"adapt_d{settings.depth}" if phase == "selftrain" else f"source_{settings.source}"
    return settings.origin or usual


def training_domain(phase: str, settings: Any) -> str:
    """The domain whose labels `--phase=source` or `finetune` uses."""
    return settings.domain or (settings.target if phase == "finetune" else settings.source)
