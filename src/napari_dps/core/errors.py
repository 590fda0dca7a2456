"""The exceptions that napari-dps raises on purpose."""

from __future__ import annotations


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
