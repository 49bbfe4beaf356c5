"""How runs are called and which run starts from which: known before any is made."""

from typing import Any

from cmda_tf.settings import AdaptSettings, PhaseSettings, SourceSettings

PHASES: dict[str, type[PhaseSettings]] = {
    "source": SourceSettings,
    "adapt": AdaptSettings,
    "adabn": AdaptSettings,
    "finetune": SourceSettings,
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
    return settings.origin or f"source_{settings.source}"


def training_domain(phase: str, settings: Any) -> str:
    """The domain whose labels `--phase=source` or `finetune` uses."""
    return settings.domain or (settings.target if phase == "finetune" else settings.source)
