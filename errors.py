"""Everything accel can refuse or fail at.

    AccelError
    ├── UsageError            what was typed cannot be meant
    │   ├── SettingError      an unknown or ill-typed setting
    │   ├── TooLarge          a request of more bytes than any may have
    │   └── TooSlow           a request that does not come to an end
    ├── ModelError            the model file
    │   ├── ModelMissing      nothing is there
    │   ├── ModelIsDirectory  a folder stands there
    │   ├── ModelUnreadable   no permission, or the disk fails
    │   ├── ModelEmpty        no bytes in it
    │   ├── ModelTruncated    it ends before what its header promises
    │   ├── ModelDamaged      the header contradicts itself, or is hostile
    │   ├── ModelChanged      it was written to while it was in use
    │   └── ModelUnsupported  sound, but no engine here runs it
    ├── PlanRefused           nothing that fits; carries the refusal
    ├── ConvertError          a checkpoint that cannot be converted
    ├── EngineError           an engine failed while it worked
    │   └── WorkerDied        the process of an engine ended
    ├── LinkError             a peer that does not speak our messages
    ├── TemplateError         a chat template that does not render
    ├── GrammarError          a grammar or JSON schema that cannot be enforced
    ├── ContextFull           one message alone is longer than the context
    ├── StateError            a saved state of another model, or damaged
    ├── DiskFull              no room where a file should be written
    ├── MemoryFull            this process was given no more memory
    ├── NetworkError          a download that failed
    ├── Busy                  too many ask at once
    │   └── Ending            a daemon that takes no new requests
    ├── NotAllowed            who asks has no key
    │   └── Misdirected       it names another host, or comes from another's page
    ├── NotThere              nothing answers to that name or number
    └── Cancelled             the user stopped it

Each says what happened and, after a semicolon, what to do next. `STATUS` gives each its exit code and HTTP status.
"""

from typing import NamedTuple


class AccelError(Exception):
    """What happened, and what to do next; both one line without a full stop."""

    def __init__(self, what: str, do: str = "") -> None:
        super().__init__(what, do)
        self.what = what
        self.do = do

    def __str__(self) -> str:
        return f"{self.what}; {self.do}" if self.do else self.what


class UsageError(AccelError):
    """What was typed cannot be meant."""


class SettingError(UsageError):
    """A setting that does not exist, or a value it cannot take."""


class TooLarge(UsageError):
    """A request of more bytes than any may have."""


class TooSlow(UsageError):
    """A request that does not come to an end."""


class ModelError(AccelError):
    """Something is wrong with a model file."""


class ModelMissing(ModelError):
    """Nothing is there."""


class ModelIsDirectory(ModelError):
    """A folder stands where a file was expected."""


class ModelUnreadable(ModelError):
    """No permission to read it, or the disk fails."""


class ModelEmpty(ModelError):
    """The file has no bytes."""


class ModelTruncated(ModelError):
    """The file ends before what its header promises."""


class ModelDamaged(ModelError):
    """The header contradicts itself, or is hostile."""


class ModelChanged(ModelError):
    """It was written to while it was in use."""


class ModelUnsupported(ModelError):
    """The file is sound, but no engine here runs it."""


class PlanRefused(AccelError):
    """No plan fits. `refusal` is the planner's record of what is lacking and what would fit."""

    def __init__(self, what: str, do: str = "", refusal: object = None) -> None:
        super().__init__(what, do)
        self.refusal = refusal


class ConvertError(AccelError):
    """A checkpoint that cannot be converted."""


class EngineError(AccelError):
    """An engine failed while it worked."""


class WorkerDied(EngineError):
    """The process of an engine ended before its work did."""


class LinkError(AccelError):
    """A peer that does not speak our messages."""


class TemplateError(AccelError):
    """A chat template that does not render."""


class GrammarError(AccelError):
    """A grammar or JSON schema that cannot be enforced."""


class ContextFull(AccelError):
    """One message alone is longer than the context."""


class StateError(AccelError):
    """A saved state of another model, or a damaged one."""


class DiskFull(AccelError):
    """No room where a file should be written."""


class MemoryFull(AccelError):
    """The process was given no more memory."""


class NetworkError(AccelError):
    """A download that failed."""


class Busy(AccelError):
    """Too many ask at once. `seconds`: after which asking again is likely to help."""

    def __init__(self, what: str, do: str = "", seconds: int = 1) -> None:
        super().__init__(what, do)
        self.seconds = seconds


class Ending(Busy):
    """A daemon that takes no new requests."""


class NotAllowed(AccelError):
    """Who asks has no key."""


class Misdirected(NotAllowed):
    """A request that names another host, or comes from another's page."""


class NotThere(AccelError):
    """Nothing answers to that name or number."""


class Cancelled(AccelError):
    """The user stopped it."""


class Status(NamedTuple):
    exit: int
    http: int


STATUS: dict[type[AccelError], Status] = {
    AccelError: Status(1, 500),
    UsageError: Status(2, 400),
    SettingError: Status(3, 400),
    TooLarge: Status(4, 413),
    TooSlow: Status(5, 408),
    ModelError: Status(10, 500),
    ModelMissing: Status(11, 404),
    ModelIsDirectory: Status(12, 404),
    ModelUnreadable: Status(13, 500),
    ModelEmpty: Status(14, 500),
    ModelTruncated: Status(15, 500),
    ModelDamaged: Status(16, 500),
    ModelUnsupported: Status(17, 501),
    ModelChanged: Status(18, 500),
    PlanRefused: Status(20, 507),
    ConvertError: Status(30, 500),
    EngineError: Status(40, 500),
    WorkerDied: Status(41, 503),
    LinkError: Status(42, 502),
    TemplateError: Status(50, 500),
    GrammarError: Status(51, 400),
    ContextFull: Status(52, 400),
    StateError: Status(53, 409),
    DiskFull: Status(60, 507),
    NetworkError: Status(61, 502),
    Busy: Status(63, 429),
    Ending: Status(67, 503),
    NotAllowed: Status(64, 401),
    Misdirected: Status(65, 403),
    NotThere: Status(66, 404),
    MemoryFull: Status(62, 507),
    Cancelled: Status(130, 499),
}


def status(error: AccelError) -> Status:
    """The exit code and HTTP status of an error: its own, or its nearest ancestor's."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
