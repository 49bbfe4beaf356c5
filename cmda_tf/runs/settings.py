"""Settings of how a run is kept."""

from dataclasses import dataclass

from cmda_tf.settings import Settings, setting


@dataclass(frozen=True)
class RunSettings(Settings):
    """Where a run lies, and what it is called."""

    key = "run"
    runs: str = setting("runs", "Folder that holds one folder per run.", free=True)
    name: str | None = setting(None, "The run's folder under --runs. Default: by phase.", free=True)
    title: str | None = setting(None, "The row's title in tables. Default: by phase.", free=True)
    resume: bool = setting(True, "Go on from the last checkpoint; else start anew.", free=True)


@dataclass(frozen=True)
class InitSettings(Settings):
    """Which run another one starts from."""

    key = "init"
    init_from: str | None = setting(
        None,
        "Run under --runs that this one starts from. Default: source_<source>, or the adaptation.",
        free=True,  # its weights decide, by their checksum
    )
