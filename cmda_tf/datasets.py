"""Opening the data that settings name: prepared data, the authors' release, or the phantom."""

from dataclasses import dataclass
from pathlib import Path

from cmda_tf.data.dataset import Dataset
from cmda_tf.data.prepared import MANIFEST_NAME, read_prepared
from cmda_tf.errors import DataError, UsageError
from cmda_tf.phantom.recipe import PhantomRecipe
from cmda_tf.release2018.dataset import open_release
from cmda_tf.settings import Settings, setting


@dataclass(frozen=True)
class DataSettings(Settings):
    """Which data, and the roles of its modalities."""

    key = "data"
    prepared: str | None = setting(
        None,
        "Prepared data (cmda_tf.prepare) or the authors' release. Default: the phantom, made on "
        "first use.",
        free=True,  # its content decides, by its checksum
    )
    data: str = setting(
        "data", "Where the phantom is cached when --prepared is not given.", free=True
    )
    phantom_seed: int = setting(0, "Seed of the phantom, without --prepared.", minimum=0, free=True)
    source: str = setting("mr", "Modality with labels.")
    target: str = setting("ct", "Modality to adapt to, without labels.")

    def __post_init__(self):
        super().__post_init__()
        if self.source == self.target:
            raise UsageError(f"target: expected another modality than the source, {self.source}")

    @property
    def phantom(self) -> PhantomRecipe | None:
        """The phantom that is meant; None where other data is named."""
        if self.prepared is not None:
            return None
        return PhantomRecipe(Path(self.data), self.phantom_seed, self.source)


def open_data(settings: DataSettings) -> Dataset:
    """The data that the settings name; the phantom is made if it is not there.

    DataError if it is missing or damaged, UsageError if it lacks a modality that is asked for.
    """
    recipe = settings.phantom
    dataset = open_dataset(settings.prepared or "" if recipe is None else recipe.make())
    for parameter in ("source", "target"):
        dataset.check_modality(getattr(settings, parameter), parameter)
    return dataset


def open_dataset(folder: str | Path) -> Dataset:
    """Opens prepared data or the authors' release; DataError if it is neither, or damaged."""
    folder = Path(folder)
    if (folder / MANIFEST_NAME).is_file() or not folder.is_dir():
        return read_prepared(folder)
    try:
        return open_release(folder)
    except DataError as error:
        reason = f"neither {MANIFEST_NAME} nor published records: {error}"
        raise DataError(f"{folder}: {reason}", made_by="prepare") from error
