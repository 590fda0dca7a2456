"""The exceptions that napari-dps raises on purpose."""

from __future__ import annotations

_SIGNS = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "alloc_failed",
    "could not create a primitive",
    "could not execute a primitive",
)
"""Of a lack of memory, in what RuntimeErrors say: of CUDA and MPS, of torch's allocator
for the CPU on Linux and on Windows, of cuFFT and cuBLAS, and of oneDNN (seen when the
memory of the process was limited; its primitives lack nothing else)."""


class NapariDpsError(Exception):
    """Base class of every error raised on purpose by napari-dps."""


class InputError(NapariDpsError, ValueError):
    """The user's input cannot be used; the message says what came and what is allowed.

    The command line prints the message on one line and exits with code 2; the GUI
    shows it as a notification.

    Parameters
    ----------
    what : str
        The thing that is wrong, in the user's words ("emission wavelength").
    got : object, optional
        The value received.
    allowed : str, optional
        What would have been accepted.

    Examples
    --------
    >>> print(InputError("NA", got=1.6, allowed="below the refractive index 1.515"))
    NA: got 1.6; allowed: below the refractive index 1.515
    """

    def __init__(self, what: str, *, got: object = None, allowed: str = "") -> None:
        message = what
        if got is not None:
            message += f": got {got}"
        if allowed:
            message += f"; allowed: {allowed}"
        super().__init__(message)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the memory of a device did not suffice.

    Examples
    --------
    >>> is_out_of_memory(RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"))
    True
    >>> is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    False
    """
    if isinstance(error, MemoryError):
        return True
    # torch's own class is a RuntimeError, and was named otherwise before torch 2.5.
    named = type(error).__name__ == "OutOfMemoryError"
    text = str(error).lower()
    return isinstance(error, RuntimeError) and (
        named or any(sign in text for sign in _SIGNS)
    )


def explain(problem: BaseException) -> tuple[str, bool]:
    """Say in one sentence what went wrong.

    Parameters
    ----------
    problem : BaseException
        What was raised.

    Returns
    -------
    (str, bool)
        The sentence, and whether the user can mend it: a wrong input, a file that
        cannot be read or written.

    Examples
    --------
    >>> explain(InputError("wavelength", got=-3, allowed="above 0"))
    ('wavelength: got -3; allowed: above 0', True)
    """
    if isinstance(problem, InputError):
        return str(problem), True
    if isinstance(problem, OSError):
        name = f"{problem.filename}: " if problem.filename else ""
        return f"{name}{problem.strerror or problem}", True
    if is_out_of_memory(problem):
        return "not enough memory for an image of this size", False
    return (
        f"unexpected {type(problem).__name__}: {problem}; this is a fault of "
        "napari-dps: please report it with the traceback that --debug shows",
        False,
    )
