from __future__ import annotations

import pytest

from kvadmin.gateway import errors
from kvadmin.gateway.errors import WORDS, GatewayError, error_for, refused


@pytest.mark.parametrize("code", WORDS)
def test_every_code_has_a_sentence_and_an_advice_that_are_complete_without_details(code: str):
    error = error_for(code)

    assert (str(error), "{" in error.sentence + error.advice) == (error.sentence, False)
    assert error.sentence.endswith(".")
    assert error.advice.endswith(".")


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("rbac", errors.Denied),
        ("access-policy", errors.Denied),
        ("policy", errors.Denied),
        ("denied", errors.Denied),
        ("firewall", errors.Blocked),
        ("private-link", errors.Blocked),
        ("disabled", errors.Disabled),
        ("not-found", errors.NotFound),
        ("no-table", errors.NoTable),
        ("deleted-recoverable", errors.Conflict),
        ("being-deleted", errors.Conflict),
        ("not-deleted", errors.Conflict),
        ("conflict", errors.Conflict),
        ("throttled", errors.Throttled),
        ("dns", errors.Unreachable),
        ("timeout", errors.Unreachable),
        ("unreachable", errors.Unreachable),
        ("server", errors.ServerError),
        ("bad-answer", errors.BadAnswer),
        ("not-as-sent", errors.BadAnswer),
        ("credential", errors.SignInFailed),
        ("own-sign-in", errors.SignInFailed),
        ("refused", errors.Refused),
        ("managed", errors.Refused),
        ("purge-protected", errors.Refused),
        ("bad-backup", errors.Refused),
    ],
)
def test_every_code_has_its_class(code: str, kind: type[GatewayError]):
    assert (type(error_for(code)), len(WORDS)) == (kind, 26)


def test_a_throttled_one_says_when_to_come_back():
    assert str(error_for("throttled", retry_after=30)) == (
        "Azure is receiving too many calls for this vault; try again in 30 s."
    )


def test_what_is_stored_of_an_error_names_no_moment():
    assert error_for("throttled", retry_after=30).lasting == (
        "Azure is receiving too many calls for this vault; try again in a little while."
    )
    assert error_for("timeout", sentence="Cut off.").lasting == "Cut off."


def test_the_raw_text_is_cut():
    assert error_for("denied", raw="x" * 5_000).raw == "x" * 2_000


def test_what_kvadmin_refuses_by_itself_was_certainly_not_read():
    error = refused("No.")

    assert (error.code, error.sentence, error.definite) == ("refused", "No.", True)
