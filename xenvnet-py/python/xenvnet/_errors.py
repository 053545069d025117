"""What xenvnet raises: one class for each kind of error, all of them XenvnetError.

They are defined here and not in the native module because each has a second base, the builtin
exception that a caller would catch, and the stable ABI lets an extension give only one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Optional


class XenvnetError(Exception):
    """Why a call failed. ``str()`` gives one sentence: *cannot VERB OBJECT: REASON (kernel: WORDS)*."""

    kind: ClassVar[str] = "error"
    """The kind's name, the same in every language and in JSON."""
    errno: Optional[int]
    """The kernel's errno, where the kernel refused."""
    kernel_words: Optional[str]
    """The kernel's own words."""
    offset: Optional[int]
    """The byte of a text at which reading failed, counted from 0."""
    advice: Optional[str]
    """One line on what to do about it, where something useful is known. Tracebacks show it."""
    also: tuple[XenvnetError, ...]
    """What else went wrong while the first failure was being put back."""

    def __init__(
        self,
        message: str,
        *,
        errno: Optional[int] = None,
        kernel_words: Optional[str] = None,
        offset: Optional[int] = None,
        advice: Optional[str] = None,
        also: Sequence[XenvnetError] = (),
    ) -> None:
        super().__init__(message)
        self.errno = errno
        self.kernel_words = kernel_words
        self.offset = offset
        self.advice = advice
        self.also = tuple(also)
        if isinstance(self, OSError):
            setattr(self, "strerror", kernel_words)
        if advice is not None and hasattr(self, "add_note"):  # Python 3.11
            self.add_note(advice)

    def __str__(self) -> str:
        # OSError would put "[Errno 16]" in front.
        return str(self.args[0])

    def __reduce__(self) -> tuple[Any, ...]:
        facts = {name: getattr(self, name) for name in ("errno", "kernel_words", "offset", "advice", "also")}
        return _again, (type(self), self.args[0], facts)


def _again(cls: type[XenvnetError], message: str, facts: dict[str, Any]) -> XenvnetError:
    return cls(message, **facts)


class ParseError(XenvnetError, ValueError):
    """A text could not be read; ``offset`` says where."""

    kind = "parse"


class InvalidArgumentError(XenvnetError, ValueError):
    """A value is well-formed but cannot be meant: a multicast MAC for a guest, say."""

    kind = "invalid_argument"


class NotFoundError(XenvnetError, LookupError):
    """An interface, bridge or namespace that was named is not there."""

    kind = "not_found"


class AlreadyExistsError(XenvnetError):
    """Something else has this name already."""

    kind = "already_exists"


class BusyError(XenvnetError, OSError):
    """The kernel or another process is using the object; trying again may help."""

    kind = "busy"


class PermissionDeniedError(XenvnetError, PermissionError):
    """The caller lacks a privilege; ``advice`` names it."""

    kind = "permission"


class UnsupportedError(XenvnetError, NotImplementedError):
    """This kernel, or this version of xenvnet, cannot do it."""

    kind = "unsupported"


class ConflictError(XenvnetError):
    """It contradicts what is there: two guests with one MAC, a foreign table of our name."""

    kind = "conflict"


class KernelError(XenvnetError, OSError):
    """The kernel refused for another reason; ``errno`` has its number."""

    kind = "kernel"


class UndoError(XenvnetError):
    """A step failed, and putting back what was there failed as well: see ``also``."""

    kind = "undo"


class StateError(XenvnetError, OSError):
    """A file or directory of xenvnet's own state could not be read or written."""

    kind = "state"


class InternalError(XenvnetError, RuntimeError):
    """A fault in xenvnet; please report it."""

    kind = "internal"


for _error in (XenvnetError, *XenvnetError.__subclasses__()):
    _error.__module__ = "xenvnet"  # Where programs find it, and what tracebacks print.
