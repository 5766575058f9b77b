"""The one exception tree.  Each message says what went wrong, where, and what to do about it.

The exit code of a command is an attribute of the error that ended it, so the CLI needs no table.
"""

from __future__ import annotations


class VswitchError(Exception):
    """Anything that a person should read as one message, without a traceback."""

    exit_code = 1


class TopologyError(VswitchError):
    """A topology file that cannot be used.  `mistakes` holds every mistake found, not only the first."""

    exit_code = 2

    def __init__(self, mistakes: list[str]) -> None:
        self.mistakes = mistakes
        super().__init__("\n".join(mistakes))


class UsageError(VswitchError):
    """The command makes no sense as given."""

    exit_code = 2


class RefusedError(VswitchError):
    """The request is clear and well formed, and doing it would break something that is not ours to break."""


class DaemonError(VswitchError):
    """vswitchd cannot be reached, or answered something that is not an answer."""

    exit_code = 3


class NotRunningError(DaemonError):
    """No vswitchd runs, and nothing that it would look after is up."""


class PartlyAppliedError(VswitchError):
    """The request was accepted and not all of it could be done, nor undone."""

    exit_code = 4


class WaitingError(PartlyAppliedError):
    """All is up but the ports that wait for an interface that this host does not have; they come up when it comes.

    `names` are those of the interfaces, "" for one that is found by its address.
    """

    def __init__(self, message: str, names: frozenset[str] = frozenset()) -> None:
        self.names = names
        super().__init__(message)


class RolledBackError(VswitchError):
    """A change that nobody confirmed in time has been taken back."""

    exit_code = 5


class HostError(VswitchError):
    """The kernel refused a step: the operation, the object, and what it lacks."""


class DataplaneError(VswitchError):
    """A data plane refused a message, or died while it was being asked."""


class LabError(VswitchError):
    """A lab guest or station cannot be played: what is missing on this host."""


class ExpectationError(VswitchError):
    """An expectation of the topology does not hold."""
