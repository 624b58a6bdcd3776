"""The opaque wrapper in which a secret's value travels from Azure's answer to one response."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn, final

_HIDDEN = "<secret value>"


@final
class SecretValue:
    """One value, shown by nothing but `expose()`.

    `repr`, `str`, `format`, `vars`, `==`, `hash`, `copy`, `pickle`, `json` and inspection of its attributes give
    nothing away. The text lives in a closure and not in an attribute, because tools that print objects (debuggers,
    error reporters, `inspect.getmembers`) read attributes, private ones too.
    """

    __slots__ = ("_give",)

    def __init__(self, text: str) -> None:
        self._give: Callable[[], str] = lambda: text

    def expose(self) -> str:
        """The value, exactly as Azure sent it. The only way out."""
        return self._give()

    # A template that names the method gets nothing: Django calls what it finds, unless it is marked so.
    expose.alters_data = True  # type: ignore[attr-defined]

    def __repr__(self) -> str:
        return _HIDDEN

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        """The same words whatever the width or precision, so that the length of the value does not show either."""
        return _HIDDEN

    def __eq__(self, other: object) -> bool:
        """True for this very object only: an equality that looked inside would answer guesses."""
        return self is other

    __hash__ = None  # type: ignore[assignment]

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        """Pickle and copy stop here.

        Raises:
            TypeError: always.
        """
        raise TypeError("A secret value cannot be copied or pickled.")
