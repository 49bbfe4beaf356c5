"""Writes the phantom: `python -m cmda_tf.phantom --out=data/phantom --subjects=20 --seed=0`."""

from dataclasses import dataclass

from cmda_tf import cli
from cmda_tf.phantom.generate import SHEET, write_phantom
from cmda_tf.phantom.scanner import RESOLUTIONS
from cmda_tf.settings import Options, setting


@dataclass(frozen=True)
class PhantomSettings(Options):
    """Flags of this entry point."""

    out: str = setting("data/phantom", "Folder to write the data set to.")
    subjects: int = setting(20, "Subjects of each modality.", minimum=2)
    seed: int = setting(0, "Seed of all that is random.", minimum=0)
    resolution: str = setting("fast", "Voxels of about 2 mm or 1 mm.", choices=RESOLUTIONS)
    workers: int = setting(2, "Processes that make subjects.", minimum=1)


def main(settings: PhantomSettings) -> None:
    """Writes the data set and says where it is."""
    out = write_phantom(**settings.to_dict())
    print(f"{settings.subjects} MR and {settings.subjects} CT subjects in {out}; see {out / SHEET}")


if __name__ == "__main__":
    cli.run(main, PhantomSettings)
