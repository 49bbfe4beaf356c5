"""What all entry points share: flags parsed, errors in one line, the right exit code.

An entry point writes `main(settings)` and ends with `cli.run(main, Settings)`; the flags are
the fields of its settings (`cmda_tf.settings`). Exit codes: 0 success, 1 bad data or a failed
write, 2 bad usage, 130 interrupted.
"""

import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from absl import app, flags, logging

from cmda_tf.errors import CmdaError, DataError, UsageError
from cmda_tf.settings import Options, define_flags, from_flags, setting


@dataclass(frozen=True)
class Debugging(Options):
    """The flag that every entry point has."""

    debug: bool = setting(False, "Show the full traceback of an error.")


def run(main: Callable[..., None], *settings: type[Options], arguments: str | None = None) -> None:
    """Parses the command line, calls `main` with its settings and exits.

    Args:
      main: the entry point's body, called with one instance of each class in `settings`; it
        raises `cmda_tf.errors.UsageError` or `DataError` for what the user can fix.
      settings: the settings classes whose fields are this entry point's flags.
      arguments: what words besides the flags are; `main` then gets a list of them first. None:
        there are to be none.
    """
    define_flags(*settings, Debugging)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a bare locale prints "?" where it has no character
            stream.reconfigure(errors="replace")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's start-up chatter

    def body(argv: list[str]) -> None:
        sys.exit(_guarded(main, settings, () if arguments is None else (argv[1:],)))

    app.run(body, flags_parser=lambda argv: _parse(argv, arguments is not None))


def _parse(argv: Sequence[str], with_arguments: bool = False) -> list[str]:
    """Parses flags; an unknown flag, an illegal value or a stray argument exits with 2."""
    try:
        rest = flags.FLAGS(argv)
    except flags.Error as error:
        _fail(str(error).splitlines()[0] + " (--help lists the flags)", UsageError.exit_code)
    except OSError as error:  # a flagfile that cannot be read
        _fail(f"{error.filename}: {error.strerror}", UsageError.exit_code)
    if len(rest) > 1 and not with_arguments:
        _fail(f"unexpected argument {rest[1]!r}; every option is a flag: --name=value", 2)
    return rest


def _guarded(
    main: Callable[..., None], settings: Sequence[type[Options]], before: Sequence[list[str]] = ()
) -> int:
    """Runs `main` and turns what it raises into one line and an exit code."""
    if not flags.FLAGS["verbosity"].present:
        logging.set_verbosity(logging.WARNING)  # progress bars must not be torn by chatter
    # A batch system's stop, or a terminal that is closed: save first. nohup's SIGHUP is ignored.
    for number in (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    try:
        main(*before, *(from_flags(cls) for cls in settings))
        return 0
    except KeyboardInterrupt as stop:  # a training says more
        print(f"\nstopped; {str(stop) or 'what is finished is kept'}", file=sys.stderr)
        return 130
    except (CmdaError, OSError) as error:
        if flags.FLAGS.debug:
            raise
        print(f"error: {_one_line(error)}", file=sys.stderr)
        return getattr(error, "exit_code", DataError.exit_code)


def _one_line(error: Exception) -> str:
    """The error's message without line breaks; an OSError names its file."""
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split())


def _fail(message: str, code: int) -> None:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(code)
