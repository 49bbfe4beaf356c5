"""The two kinds of error a user can cause, each with the exit code of the command line.

The package's functions know parameters, not flags or commands: a message that is about a parameter
begins with its name and a colon (`depth: ...`). `cmda_tf.cli` turns it into what to type.
"""


class CmdaError(Exception):
    """Base of all errors that are reported in one line, without a traceback.

    `made_by` says what would make the thing that is missing: `prepare`, or a phase of training.
    """

    exit_code = 1

    def __init__(self, message: str, made_by: str | None = None):
        super().__init__(message)
        self.made_by = made_by


class DataError(CmdaError):
    """A file or folder is missing, damaged or not what was expected (exit code 1)."""


class UsageError(CmdaError):
    """A flag or argument is unknown, illegal or contradicts another (exit code 2)."""

    exit_code = 2


# What taking apart JSON values raises that are not of the expected form.
MALFORMED = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, UsageError)
