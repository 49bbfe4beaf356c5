"""Ctrl-C, held back until an update is done and counted.

Left to itself Python interrupts wherever it happens to be: between an update and its count, so
that a resumed run would do it twice, or inside TensorFlow, which then aborts the process.
"""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def held_back() -> Iterator[Callable[[], bool]]:
    """Within it the first Ctrl-C interrupts nothing; a second one does, as outside.

    It holds back the signals that raise KeyboardInterrupt: SIGINT, and SIGTERM and SIGHUP under
    `cmda_tf.cli`. Only the main thread gets signals; in others it does nothing.

    Yields:
      A function that tells whether a signal has come.
    """
    usual = signal.default_int_handler
    stops = (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM))
    signals = [s for s in stops if signal.getsignal(s) is usual]
    if threading.current_thread() is not threading.main_thread():
        signals = []
    came = False

    def note(*_) -> None:
        nonlocal came
        came = True
        restore()

    def restore() -> None:
        for number in signals:
            signal.signal(number, usual)

    for number in signals:
        signal.signal(number, note)
    try:
        yield lambda: came
    finally:
        restore()
