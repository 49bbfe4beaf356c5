"""How many CPU threads TensorFlow uses."""

import tensorflow as tf

from cmda_tf.errors import UsageError


def limit_threads(threads: int) -> None:
    """Lets TensorFlow use this many CPU threads; 0 leaves it as it is, at first one per core.
    UsageError: it has begun to work with another number in this process."""
    threading = tf.config.threading
    if threads in (0, threading.get_intra_op_parallelism_threads()):
        return
    try:
        threading.set_intra_op_parallelism_threads(threads)
        threading.set_inter_op_parallelism_threads(threads)
    except RuntimeError as error:
        raise UsageError(
            f"threads: {threads} comes too late, TensorFlow has begun to work with "
            f"{threading.get_intra_op_parallelism_threads()}"
        ) from error
