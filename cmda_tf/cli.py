"""What all entry points share: flags parsed, errors in one line, the right exit code.

An entry point writes `main(settings)` and ends with `cli.run(main, Settings)`; the flags are
the fields of its settings (`cmda_tf.settings`). Exit codes: 0 success, 1 bad data or a failed
write, 2 bad usage, 130 interrupted.
"""

import difflib
import os
import re
import shlex
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from absl import app, flags, logging

from cmda_tf.errors import CmdaError, DataError, UsageError
from cmda_tf.settings import Settings, define_flags, from_flags, leaves

# What makes a missing thing (`CmdaError.made_by`), as one types it.
_COMMANDS = {"prepare": "prepare --raw=DIR --prepared=DIR"}
# Flags that a suggested command has to repeat, where the user gave them.
_REPEATED = ("flagfile", "runs", "prepared", "source", "target")
# Where `--flagfile=flags/paper.cfg` is, besides the working folder: in a wheel, in a checkout.
PACKAGED = (Path(__file__).parent, Path(__file__).parent.parent)


def run(
    main: Callable[..., None],
    *settings: type[Settings],
    phases: Mapping[str, type[Settings]] | None = None,
    arguments: str | None = None,
) -> None:
    """Parses the command line, calls `main` with its settings and exits.

    Args:
      main: the entry point's body, called with one instance of each class in `settings`; it
        raises `cmda_tf.errors.UsageError` or `DataError` for what the user can fix.
      settings: the classes whose fields are this entry point's flags.
      phases: settings of the phases of training. Without `settings`, `--phase` chooses one of
        them, of which `main` gets an instance. A flag of another phase is refused on the command
        line, not in a flagfile, which may be for all phases.
      arguments: what words besides the flags are; `main` then gets a list of them first.
    """
    phases, here = phases or {}, sys.argv[0]
    define_flags(*settings, *phases.values())
    flags.DEFINE_bool("debug", False, "Show the full traceback of an error.", module_name=here)
    if not settings and phases:
        text = f"One of: {', '.join(phases)}."
        flags.DEFINE_string("phase", None, text, module_name=here)
    sys.argv[1:] = _joined(sys.argv[1:])
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a bare locale prints "?" where it has no character
            stream.reconfigure(errors="replace")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's start-up chatter

    def call(words: list[str]) -> None:
        if not settings and phases:
            return main(chosen_phase(phases, sys.argv[1:]))
        legal = [name for cls in settings for name, _ in leaves(cls)]
        _refuse_others(sys.argv[1:], legal, phases, "this command")
        before = () if arguments is None else (words[1:],)
        return main(*before, *(from_flags(cls) for cls in settings))

    app.run(
        lambda argv: sys.exit(_guarded(lambda: call(argv))),
        flags_parser=lambda argv: _parse(argv, arguments is not None),
    )


def chosen_phase(
    phases: Mapping[str, type[Settings]],
    words: Sequence[str],
    flag_values: flags.FlagValues = flags.FLAGS,
) -> Settings:
    """The settings of the phase that the parsed flags choose. UsageError: no such phase, or one of
    the words, those of the command line without flagfiles, is a flag of another phase."""
    phase = flag_values["phase"].value or "none"
    if phase not in phases:
        raise UsageError(f"--phase: expected one of {', '.join(phases)}; found {phase}")
    legal = [name for name, _ in leaves(phases[phase])]
    _refuse_others(words, legal, phases, f"--phase={phase}", flag_values)
    return from_flags(phases[phase], flag_values)


def _refuse_others(
    words: Sequence[str],
    legal: Sequence[str],
    phases: Mapping[str, type[Settings]],
    here: str,
    flag_values: flags.FlagValues = flags.FLAGS,
) -> None:
    """Raises UsageError for a word that is a flag of one of the phases, and not a legal one."""
    for flag in (_flag_name(word, flag_values) for word in words):
        others = [name for name, cls in phases.items() if flag in dict(leaves(cls))]
        if flag and others and flag not in legal:
            near = difflib.get_close_matches(flag, legal, 1)
            hint = f"; did you mean --{near[0]}?" if near else ""
            raise UsageError(
                f"--{flag}: a flag of --phase={', '.join(others)}, not of {here}{hint}"
            )


def required(settings: Settings, *names: str) -> list[str]:
    """The values of settings for folders that have no default; UsageError if one is not given."""
    for name in names:
        if not getattr(settings, name):
            raise UsageError(f"{name}: a folder is required; expected its path, found none")
    return [getattr(settings, name) for name in names]


def read_flagfiles(words: Sequence[str], within: tuple[Path, ...] = ()) -> list[str]:
    """The words with what their flagfiles say in the place of each `--flagfile=PATH`; one that is
    not in the working folder is looked for among those of the package. UsageError: a flagfile is
    missing, unreadable, or includes itself."""
    expanded = []
    for word in words:
        if not (match := re.fullmatch(r"--?flagfile=(.+)", word)):
            expanded.append(word)
            continue
        path = packaged(match[1])
        if path in within:
            raise UsageError(f"--flagfile: {path} includes itself")
        try:
            lines = map(str.strip, path.read_text(encoding="utf-8").splitlines())
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "expected UTF-8 text"
            raise UsageError(f"--flagfile: {path}: {reason}") from error
        inner = [line for line in lines if line and not line.startswith("#")]
        expanded += read_flagfiles(inner, (*within, path))
    return expanded


def packaged(path: str | Path) -> Path:
    """The path, or where it is not there, a file or folder of that name with the package."""
    places = (Path(path), *(folder / path for folder in PACKAGED))
    return next((place for place in places if place.exists()), Path(path))


def _joined(words: Sequence[str]) -> list[str]:
    """The words with `--runs DIR` as `--runs=DIR`."""
    with_value = {"flagfile", *(name for name in flags.FLAGS if not flags.FLAGS[name].boolean)}
    joined: list[str] = []
    for word in words:
        match = re.fullmatch(r"--?(\w+)", joined[-1]) if joined else None
        if match and match[1] in with_value:
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


def _flag_name(word: str, flag_values: flags.FlagValues = flags.FLAGS) -> str | None:
    """The flag that a word sets, `resume` for `--noresume`; None if it is none."""
    match = re.match(r"--?(\w+)", word)
    name = match[1] if match else None
    return name.removeprefix("no") if name and name not in flag_values else name


def _parse(argv: Sequence[str], with_arguments: bool) -> list[str]:
    """Parses flags; an unknown flag, an illegal value or a stray argument exits with 2."""
    try:
        rest = flags.FLAGS([argv[0], *read_flagfiles(argv[1:])])
        if len(rest) > 1 and not with_arguments:
            message = f"unexpected argument {rest[1]!r}; every option is a flag: --name=value"
            raise UsageError(message)
        return rest
    except SystemExit:  # absl ends a program that was asked for --help with 1
        sys.exit(0)
    except flags.Error as error:
        message = f"{str(error).splitlines()[0]} (--help lists the flags)"
    except UsageError as error:
        message = str(error)
    print(f"error: {message}", file=sys.stderr)
    sys.exit(UsageError.exit_code)


def _guarded(body: Callable[[], None]) -> int:
    """Runs `body` and turns what it raises into one line and an exit code."""
    if not flags.FLAGS["verbosity"].present:
        logging.set_verbosity(logging.WARNING)  # progress bars must not be torn by chatter
    # A batch system's stop, or a terminal that is closed: save first. nohup's SIGHUP is ignored.
    for number in (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    try:
        body()
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
    """The error's message without line breaks, in the words of the command line.

    An OSError names its file; a parameter is called as its flag; of what is missing the command
    that makes it is told, with the flags of this command line that it must share.
    """
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    text = " ".join(str(error).split())
    name, colon, _ = text.partition(":")
    if isinstance(error, UsageError) and colon and name in flags.FLAGS:
        text = f"--{text}"
    if made_by := getattr(error, "made_by", None):
        command = _COMMANDS.get(made_by, f"train --phase={made_by}")
        given = [w for w in sys.argv[1:] if _flag_name(w) in _REPEATED and made_by != "prepare"]
        text += f"; this makes it: python -m cmda_tf.{command}"
        text += f" {shlex.join(given)}" if given else ""
    return text
