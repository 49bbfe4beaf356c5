"""Settings of a phantom."""

from dataclasses import dataclass

from cmda_tf.settings import Settings, setting


@dataclass(frozen=True)
class PhantomSettings(Settings):
    """Which phantom is written where."""

    out: str = setting("data/phantom", "Folder to write the data set to.")
    subjects: int = setting(20, "Subjects of each modality.", minimum=2)
    seed: int = setting(0, "Seed of all that is random.", minimum=0)
    resolution: str = setting("fast", "Voxels of about 2 mm or 1 mm.", choices=("fast", "full"))
    workers: int = setting(2, "Processes that make subjects.", minimum=1)
