"""The exceptions that napari-dps raises on purpose."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from napari_dps.core.text import shortened

_SIGNS = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "alloc_failed",
    "could not create a primitive",
    "could not execute a primitive",
    "std::bad_alloc",
    "can't start new thread",
    "failed to map segment",
    "cannot allocate memory",
)
"""Words of RuntimeErrors for a lack of memory: CUDA's and MPS's, torch's allocator's
for the CPU on Linux and on Windows, cuFFT's and cuBLAS's, and oneDNN's (seen when the
memory of the process was limited; its primitives lack nothing else); of libraries and
threads that find no room."""


class NapariDpsError(Exception):
    """Base class of every error raised on purpose by napari-dps."""


class InputError(NapariDpsError, ValueError):
    """The user's input cannot be used; the message says what came and what is allowed.

    The command line prints the message on one line and exits with code 2; the GUI
    shows it as a notification. Each of them names the parameters concerned in its own
    words: ``--na`` here, "NA in Microscope" there.

    Parameters
    ----------
    what : str, optional
        The thing that is wrong, in the user's words ("emission wavelength"); by default
        the path of the first parameter.
    got : object, optional
        The value received.
    allowed : str, optional
        What would have been accepted.
    field : str or sequence of str, optional
        Path of the parameter to mend, as in a file of settings ("optics.na"), or of
        several.

    Attributes
    ----------
    what, detail : str
        The two halves of the message.
    fields : tuple of str
        Paths of the parameters to mend.

    Examples
    --------
    >>> print(InputError("NA", got=1.6, allowed="below the refractive index 1.515"))
    NA: got 1.6; allowed: below the refractive index 1.515
    >>> print(InputError(field="optics.na", got=-1, allowed="above 0"))
    optics.na: got -1; allowed: above 0
    """

    def __init__(
        self,
        what: str = "",
        *,
        got: object = None,
        allowed: str = "",
        field: str | Sequence[str] = (),
    ) -> None:
        self.fields = (field,) if isinstance(field, str) else tuple(field)
        self.what = what or ", ".join(self.fields)
        self.detail = "" if got is None else f": got {shortened(got)}"
        if allowed:
            self.detail += f"; allowed: {allowed}"
        super().__init__(self.what + self.detail)

    def at(self, where: str) -> InputError:
        """Return the same error with the place in the data, said last.

        Examples
        --------
        >>> print(InputError("counts", got=-1).at(" (T 2/3)"))
        counts: got -1 (T 2/3)
        """
        error = InputError(self.what, field=self.fields)
        error.detail = self.detail + where
        error.args = (error.what + error.detail,)
        return error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the memory of a device did not suffice.

    Examples
    --------
    >>> is_out_of_memory(RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"))
    True
    >>> is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    False
    >>> is_out_of_memory(ImportError("libtorch.so: failed to map segment"))
    True
    >>> is_out_of_memory(SystemError("error return without exception set"))
    True
    """
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    if isinstance(error, SystemError):
        # What CPython says of an extension whose allocation has failed unseen.
        return "without exception set" in str(error)
    # torch's own class is a RuntimeError, and was named otherwise before torch 2.5.
    named = type(error).__name__ == "OutOfMemoryError"
    text = str(error).lower()
    return isinstance(error, RuntimeError | ImportError) and (
        named or any(sign in text for sign in _SIGNS)
    )


_FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file is larger than the system allows",
}


def no_room(error: OSError) -> str:
    """Say that there is no room for a file; empty if something else went wrong.

    Examples
    --------
    >>> no_room(OSError("1024 requested and 12 written"))
    'the disk is full'
    """
    if error.errno is None and str(error).endswith(_NOT_ALL):
        # NumPy and Pillow keep the number to themselves.
        return _FULL[errno.EFBIG if _is_length_limited() else errno.ENOSPC]
    return _FULL.get(error.errno or 0, "")


def _is_length_limited() -> bool:
    """Whether this process may not write files of any length."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return False
    return resource.getrlimit(resource.RLIMIT_FSIZE)[0] != resource.RLIM_INFINITY


_NOT_ALL = (" written", "when writing image file")


@dataclass(frozen=True)
class Failure:
    """Why something came to no result, for the person who asked for it.

    Attributes
    ----------
    what, detail : str
        The two halves of a sentence; between them a front end names the parameters.
    kind : {"input", "memory", "cluster", "fault"}
        What the user can mend (a wrong input, a file that cannot be read or written);
        a lack of memory; a cluster that is gone; a fault of napari-dps itself.
    fields : tuple of str
        Paths of the parameters to mend, such as "optics.na".
    """

    what: str
    detail: str = ""
    kind: Literal["input", "memory", "cluster", "fault"] = "input"
    fields: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The sentence as it stands, for files and for Python."""
        return self.what + self.detail

    @property
    def is_user_error(self) -> bool:
        """Whether the user can do something about it."""
        return self.kind != "fault"


def explain(problem: BaseException) -> Failure:
    """Say in one sentence what went wrong.

    Parameters
    ----------
    problem : BaseException
        What was raised.

    Returns
    -------
    Failure

    Examples
    --------
    >>> explain(InputError("wavelength", got=-3, allowed="above 0")).text
    'wavelength: got -3; allowed: above 0'
    >>> explain(RuntimeError("CUDA out of memory. Tried …")).kind
    'memory'
    """
    if isinstance(problem, InputError):
        return Failure(problem.what, problem.detail, "input", problem.fields)
    if isinstance(problem, OSError) and not is_out_of_memory(problem):
        name = f"{problem.filename}: " if problem.filename else ""
        return Failure(f"{name}{no_room(problem) or problem.strerror or problem}")
    if is_out_of_memory(problem):
        return Failure(
            "not enough memory for an image of this size: take a part of it, or "
            "another device",
            kind="memory",
        )
    said = str(problem).strip() or "no message"
    return Failure(
        f"unexpected {type(problem).__name__}: {said}; this is a fault of napari-dps: "
        "please report it with its traceback",
        kind="fault",
        fields=("debug",),
    )
