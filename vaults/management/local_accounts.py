"""What the commands that make local accounts share: arguments, a valid person, and a password that no log sees."""

from __future__ import annotations

import getpass
import sys
from argparse import ArgumentParser
from collections.abc import Callable
from typing import IO, Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError

from vaults.models import Person


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", help="what they type at the sign-in")
    parser.add_argument("--first-name", default="")
    parser.add_argument("--last-name", default="")


def new_person(name: str, options: dict[str, Any]) -> Person:
    """Somebody with a name that is free and a password that is strong, not saved yet. Raises CommandError."""
    person = Person(username=name, first_name=options["first_name"], last_name=options["last_name"])
    _valid(person.clean_fields, exclude=["password"])
    _valid(person.validate_unique)
    password = _password(options.get("stdin") or sys.stdin)
    _valid(validate_password, password, person)
    person.set_password(password)
    return person


def _valid(check: Callable[..., Any], *args: Any, **options: Any) -> None:
    try:
        check(*args, **options)
    except ValidationError as error:
        raise CommandError(" ".join(error.messages)) from None


def _password(stdin: IO[str]) -> str:
    """Typed twice at a terminal, so that it stands in no history; else one line, from another program."""
    if not stdin.isatty():
        return stdin.readline().rstrip("\n")
    password = getpass.getpass("Password: ")
    if getpass.getpass("The same again: ") != password:
        raise CommandError("The two are not the same. Nobody was added.")
    return password
