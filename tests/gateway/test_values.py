from __future__ import annotations

import copy
import inspect
import json
import pickle
import pprint
from collections.abc import Callable
from typing import Any

import pytest
from django.template import Context, Engine

from kvadmin.gateway.values import SecretValue

CANARY = "hunter2-canary"


def test_exposing_it_gives_the_exact_text():
    assert SecretValue("a\r\n\x00é ").expose() == "a\r\n\x00é "


@pytest.mark.parametrize(
    "show",
    [repr, str, ascii, pprint.pformat, "{}".format, "{0:>40}".format, "{0:.1}".format, "%s".__mod__, "%r".__mod__],
)
def test_whatever_shows_it_as_text_shows_the_same_words(show: Callable[[Any], str]):
    assert show(SecretValue(CANARY)) == "<secret value>"


@pytest.mark.parametrize("show", [repr, str, pprint.pformat])
def test_a_container_does_not_show_it_either(show: Callable[[Any], str]):
    assert CANARY not in show({"value": [SecretValue(CANARY)]})


@pytest.mark.parametrize(
    "take", [vars, hash, len, iter, bytes, json.dumps, pickle.dumps, copy.copy, copy.deepcopy, float, "".join]
)
def test_whatever_would_take_it_apart_fails_without_naming_it(take: Callable[[Any], Any]):
    with pytest.raises(TypeError) as caught:
        take(SecretValue(CANARY))

    assert CANARY not in str(caught.value)


def test_no_attribute_holds_the_text():
    attributes = inspect.getmembers(SecretValue(CANARY))

    assert CANARY not in repr(attributes)


def test_a_comparison_answers_no_guess():
    value = SecretValue(CANARY)

    same = value

    assert (value == CANARY, value == SecretValue(CANARY), value != CANARY, value == same) == (False, False, True, True)


def test_a_template_that_names_it_or_its_method_shows_nothing():
    template = Engine().from_string("{{ value }}|{{ value.expose }}|{{ value|length }}|{{ value|pprint }}")

    shown = template.render(Context({"value": SecretValue(CANARY)}, autoescape=False))

    assert shown == "<secret value>||0|<secret value>"
