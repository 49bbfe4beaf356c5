"""A finished run in forms that other programs load."""

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import tensorflow as tf

from cmda_tf import __version__
from cmda_tf.data.preprocess import CUT_PERCENTILE
from cmda_tf.errors import UsageError
from cmda_tf.files import make_folder, write_json
from cmda_tf.inference.networks import load_networks
from cmda_tf.inference.predictor import probabilities
from cmda_tf.inference.trained import TrainedModel
from cmda_tf.volumes.geometry import LIP_DIRECTION

ABOUT = "cmda_tf.json"


class Paths(tf.Module):
    """Both paths of a run as functions of images alone."""

    def __init__(self, networks: dict[str, tf.keras.Model]):
        super().__init__()
        self.networks = networks
        self.functions = {role: self._function(network) for role, network in networks.items()}

    @staticmethod
    def _function(network: tf.keras.Model) -> tf.types.experimental.GenericFunction:
        spec = tf.TensorSpec([None, *network.input_shape[1:]], tf.float32, name="images")

        @tf.function(input_signature=[spec])
        def predict(images: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"probabilities": probabilities(network(images, training=False))}

        return predict


def write_saved_model(model: TrainedModel, out: Path) -> None:
    """Writes a SavedModel with the signatures `source` and `target`, and `cmda_tf.json`."""
    paths = Paths(model.networks)
    with _new_folder(out) as folder:
        tf.saved_model.save(paths, str(folder), signatures=paths.functions)
        write_json(folder / ABOUT, _about(model))


def write_onnx(model: TrainedModel, out: Path) -> None:
    """Writes `source.onnx` and `target.onnx`, in float32, and `cmda_tf.json`; needs tf2onnx."""
    try:
        import tf2onnx
    except ImportError as error:
        how = 'pip install "cmda_tf[onnx]"'
        raise UsageError(f"format: onnx needs the package tf2onnx, {how} ({error})") from error
    # Weights always are float32, and ONNX convolves no bfloat16.
    config = replace(model.run.config, precision="float32")
    paths = Paths(load_networks(model.run, config).paths())
    with _new_folder(out) as folder:
        for role, function in paths.functions.items():
            path, signature = str(folder / f"{role}.onnx"), function.input_signature
            tf2onnx.convert.from_function(function, signature, output_path=path)
        write_json(folder / ABOUT, _about(model))


def _about(model: TrainedModel) -> dict:
    """What a program must know to feed the model and to read what it says."""
    return {
        "cmda_tf": __version__,
        "phase": model.run.phase,
        "source": model.run.record.source,
        "target": model.run.record.target,
        "size": model.size,
        "spacing_mm": model.spacing_mm,
        "direction": list(LIP_DIRECTION),
        "channels": "three consecutive coronal slices, borders replicated; of the middle one",
        "intensities": f"cut above percentile {CUT_PERCENTILE:g}, then mean 0 and deviation 1",
        **model.structures.to_dict(),
    }


@contextlib.contextmanager
def _new_folder(out: Path) -> Iterator[Path]:
    """A folder that gets its name when all of it is written."""
    make_folder(out.parent)
    temporary = out.with_name(f".tmp_{out.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        temporary.rename(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
