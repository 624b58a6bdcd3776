"""Microsoft Graph, to those who may ask and those who may not."""

from __future__ import annotations

import requests

from kvadmin.emulator.identities import KVADMIN
from kvadmin.emulator.state import Azure

GROUP, ADA = "44444444-4444-4444-8444-444444444444", "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"
CHECK = f"/v1.0/users/{ADA}/checkMemberGroups"


def ask(session: requests.Session, path: str = CHECK, audience: str = "https://graph.microsoft.com", groups: int = 1):
    headers = {"Authorization": f"Bearer {KVADMIN.token(audience)}"}
    body = {"groupIds": [GROUP.upper()] * groups}
    return session.post(f"https://graph.microsoft.com{path}", json=body, headers=headers)


def error(answer: requests.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_a_group_that_holds_somebody_is_told(cloud: Azure, session: requests.Session) -> None:
    cloud.groups[GROUP] = {ADA}

    assert ask(session).json() == {"value": [GROUP.upper()]}


def test_a_group_that_does_not_is_left_out(cloud: Azure, session: requests.Session) -> None:
    assert ask(session).json() == {"value": []}


def test_at_most_twenty_groups_are_answered_for(cloud: Azure, session: requests.Session) -> None:
    assert error(ask(session, groups=21)) == (400, "Request_BadRequest")


def test_a_token_for_something_else_is_refused(cloud: Azure, session: requests.Session) -> None:
    assert error(ask(session, audience="https://vault.azure.net")) == (401, "InvalidAuthenticationToken")


def test_without_the_permission_it_is_refused(cloud: Azure, session: requests.Session) -> None:
    cloud.directory_open = False

    assert error(ask(session)) == (403, "Authorization_RequestDenied")


def test_nothing_else_is_answered(cloud: Azure, session: requests.Session) -> None:
    assert error(ask(session, path="/v1.0/users")) == (404, "ResourceNotFound")
