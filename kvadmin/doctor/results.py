"""What an examination says, and what earlier ones found out for the later ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from kvadmin.gateway.arm import VaultInfo
from kvadmin.gateway.errors import GatewayError


class State(StrEnum):
    """`wrong` is something that kvadmin needs; `look` may be meant so; `off` is not used."""

    OK = "ok"
    LOOK = "look"
    WRONG = "wrong"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Result:
    """One line: a state, one plain sentence or two, and the command that mends it, or ""."""

    state: State
    sentence: str
    command: str = ""


@dataclass(slots=True)
class Seen:
    """What was asked for (`vault_name`, `mail_to`), and what was found on the way.

    `signed_in`: Azure knows kvadmin; `object_id` is kvadmin's own; `listed`: Azure said which vaults there are; `vault`
    the one that is looked at; `workspace_id` where that one sends its log.
    """

    vault_name: str = ""
    mail_to: str = ""
    signed_in: bool = False
    object_id: str = ""
    listed: bool = False
    vaults: list[VaultInfo] = field(default_factory=list)
    vault: VaultInfo | None = None
    workspace_id: str = ""


Lines = Iterator[Result]


def ok(sentence: str) -> Result:
    return Result(State.OK, sentence)


def look(sentence: str, command: str = "") -> Result:
    return Result(State.LOOK, sentence, command)


def wrong(sentence: str, command: str = "") -> Result:
    return Result(State.WRONG, sentence, command)


def off(sentence: str) -> Result:
    return Result(State.OFF, sentence)


def by_error(error: GatewayError, what: str = "", command: str = "") -> Result:
    """What Azure did not do: the gateway's sentence and advice, which hold nothing of the SDK's text."""
    return wrong(" ".join(filter(None, (what, error.lasting, error.advice))), command)
