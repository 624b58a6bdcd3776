"""Makes values that nobody can guess, by rules that a person can read. What is made is stored nowhere."""

from __future__ import annotations

import base64
import math
import secrets
import string
from dataclasses import dataclass

SHORTEST, LONGEST = 8, 1024
LOOK_ALIKES = frozenset("0O1lI|`'\"5S2Z8B")
# Without $, backslash, quotes, backtick, space, & and ;, which shells, URLs and .env files give a meaning to.
SYMBOLS = "-_.~!*+=@#%^:"
CHARACTERS, HEX, BASE64 = "characters", "hex", "base64"


class BadRules(ValueError):
    """Nothing can be made by these rules. Its text is one sentence for the person."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What a value looks like. `length` counts characters; for "hex" and "base64" it counts random bytes.

    Of each kind of character that is switched on at least one occurs. `clear` leaves out what is easily taken for
    another character. The defaults are what every service takes: 24 letters and digits, some 136 bits.
    """

    kind: str = CHARACTERS
    length: int = 24
    lower: bool = True
    upper: bool = True
    digits: bool = True
    symbols: bool = False
    clear: bool = True

    @property
    def classes(self) -> list[str]:
        """The characters of each kind that is switched on."""
        kinds = (
            (self.lower, string.ascii_lowercase), (self.upper, string.ascii_uppercase), (self.digits, string.digits),
            (self.symbols, SYMBOLS),
        )  # fmt: skip
        unclear = LOOK_ALIKES if self.clear else frozenset()
        return ["".join(sorted(set(letters) - unclear)) for on, letters in kinds if on]

    @property
    def bits(self) -> int:
        """How many yes-or-no guesses the value is worth, rounded down: 128 are out of anybody's reach."""
        if self.kind != CHARACTERS:
            return self.length * 8
        return int(self.length * math.log2(sum(map(len, self.classes)) or 1))

    def __str__(self) -> str:
        if self.kind != CHARACTERS:
            return f"{self.length} random bytes as {self.kind}"
        named = (
            (self.lower, "small letters"), (self.upper, "capital letters"), (self.digits, "digits"),
            (self.symbols, "symbols"),
        )  # fmt: skip
        words = ", ".join(word for on, word in named if on)
        return f"{self.length} characters: {words}{', none that look alike' if self.clear else ''}"


def generate(rules: Rules = Rules()) -> str:
    """A value by these rules, from the system's own source of chance. Raises BadRules.

    Every value that keeps the rules is equally likely: what lacks a kind of character is thrown away and drawn anew.
    """
    if not SHORTEST <= rules.length <= LONGEST:
        raise BadRules(f"The length is a number from {SHORTEST} to {LONGEST:,}.")
    if rules.kind == HEX:
        return secrets.token_hex(rules.length)
    if rules.kind == BASE64:
        return base64.b64encode(secrets.token_bytes(rules.length)).decode()
    return _characters(rules)


def _characters(rules: Rules) -> str:
    classes = rules.classes
    if not classes:
        raise BadRules("Choose at least one kind of character.")
    alphabet = "".join(classes)
    while True:
        text = "".join(secrets.choice(alphabet) for _ in range(rules.length))
        if all(set(text) & set(letters) for letters in classes):
            return text
