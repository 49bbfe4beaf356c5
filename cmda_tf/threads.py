"""How many CPU threads TensorFlow uses."""

import tensorflow as tf

from cmda_tf.errors import UsageError


def limit_threads(threads: int) -> None:
    """Lets TensorFlow use this many CPU threads; 0 leaves it as it is, at first one per core.
    UsageError: it has begun to work with another number in this process."""
    threading = tf.config.threading
    actual = threading.get_intra_op_parallelism_threads()
    if threads in (0, actual):
        return
    try:
        threading.set_intra_op_parallelism_threads(threads)
        threading.set_inter_op_parallelism_threads(threads)
    except RuntimeError as error:
        late = f"{threads} comes too late, TensorFlow has begun to work with {actual}"
        raise UsageError(f"threads: {late}") from error
