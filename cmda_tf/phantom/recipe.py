"""How the built-in phantom is made where no other data is named."""

from dataclasses import dataclass
from pathlib import Path

from cmda_tf.phantom.settings import PhantomSettings

SUBJECTS, SIZE, SPACING_MM = PhantomSettings.subjects, 64, 3.5


@dataclass(frozen=True)
class PhantomRecipe:
    """A phantom and where it is kept.

    Images of the source are centered on their labels. Those of a target must not be: each source
    has prepared data of its own.
    """

    cache: Path | str  # folder that holds phantoms
    seed: int = 0
    source: str = "mr"

    @property
    def raw(self) -> Path:
        """Folder of the volumes."""
        return Path(self.cache) / (f"phantom_seed{self.seed}" if self.seed else "phantom")

    @property
    def prepared(self) -> Path:
        """Folder of the prepared data."""
        ending = "_prepared" if self.source == "mr" else f"_prepared_from_{self.source}"
        return self.raw.with_name(self.raw.name + ending)

    @property
    def write_flags(self) -> list[str]:
        """Flags with which the command `cmda_tf.phantom` writes the volumes."""
        return [f"--out={self.raw}", f"--subjects={SUBJECTS}", f"--seed={self.seed}"]

    @property
    def prepare_flags(self) -> list[str]:
        """Flags with which the command `cmda_tf.prepare` prepares them."""
        folders = f"--raw={self.raw}", f"--prepared={self.prepared}"
        grid = f"--size={SIZE}", f"--spacing_mm={SPACING_MM}"
        return [*folders, *grid, f"--center_on_labels={self.source}"]

    def make(self) -> Path:
        """Writes and prepares the phantom unless its manifest is there; gives that folder.

        DataError if a folder cannot be written, or holds what is not this phantom's.
        """
        # Here, not above: whoever only asks for the folders need not load image libraries.
        from cmda_tf.data.preparation import prepare
        from cmda_tf.data.prepared import MANIFEST_NAME
        from cmda_tf.phantom.generate import write_phantom

        if not (self.prepared / MANIFEST_NAME).is_file():
            write_phantom(self.raw, subjects=SUBJECTS, seed=self.seed)
            prepare(self.raw, self.prepared, SIZE, SPACING_MM, center_on_labels=(self.source,))
        return self.prepared
