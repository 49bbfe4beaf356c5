"""`python -m cmda_tf.convert --prepared=DIR --out=RELEASE`: data as the authors' programs read it.

With `--release=DIR --out=PREPARED` records and test volumes become prepared data; see
`cmda_tf/release2018/conversion.py`. It is not needed: all commands take a release as `--prepared`.
"""

from dataclasses import dataclass

from cmda_tf import cli
from cmda_tf.errors import UsageError
from cmda_tf.settings import Settings, setting


@dataclass(frozen=True)
class ConvertSettings(Settings):
    """The flags of `python -m cmda_tf.convert`."""

    prepared: str | None = setting(None, "Prepared data to write as records and test volumes.")
    release: str | None = setting(None, "Records and test volumes to write as prepared data.")
    out: str | None = setting(None, "Empty or new folder to write to.")


def main(settings: ConvertSettings) -> None:
    """Converts one folder."""
    if (settings.prepared is None) == (settings.release is None):
        raise UsageError("expected either --prepared=DIR or --release=DIR")
    (out,) = cli.required(settings, "out")
    from cmda_tf.data.prepared import read_prepared
    from cmda_tf.release2018.conversion import from_release, to_release
    from cmda_tf.release2018.dataset import open_release

    if settings.release is None:
        to_release(read_prepared(*cli.required(settings, "prepared")), out)
    else:
        from_release(open_release(settings.release), out)
    print(f"written to {out}")


if __name__ == "__main__":
    cli.run(main, ConvertSettings)
