"""Writes the phantom: `python -m cmda_tf.phantom --out=data/phantom --subjects=20 --seed=0`."""

from cmda_tf import cli
from cmda_tf.phantom.generate import SHEET, write_phantom
from cmda_tf.phantom.recipe import PhantomSettings


def main(settings: PhantomSettings) -> None:
    """Writes the data set and says where it is."""
    out = write_phantom(**vars(settings))
    print(f"{settings.subjects} MR and {settings.subjects} CT subjects in {out}; see {out / SHEET}")


if __name__ == "__main__":
    cli.run(main, PhantomSettings)
