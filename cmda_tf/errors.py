"""The two kinds of error a user can cause, each with the exit code of the command line."""


class CmdaError(Exception):
    """Base of all errors that are reported in one line, without a traceback."""

    exit_code = 1


class DataError(CmdaError):
    """A file or folder is missing, damaged or not what was expected (exit code 1)."""

    exit_code = 1


class UsageError(CmdaError):
    """A flag or argument is unknown, illegal or contradicts another (exit code 2)."""

    exit_code = 2
