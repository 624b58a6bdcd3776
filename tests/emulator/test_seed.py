"""The demo's cloud: everything a visitor should meet is there, and it comes out the same each time."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kvadmin.emulator import seed_cloud, seed_people
from kvadmin.emulator.faults import Fault
from kvadmin.emulator.identities import KVADMIN
from kvadmin.emulator.resources import AuditRow
from kvadmin.emulator.roles import GET
from kvadmin.emulator.seed import REGISTERED_VAULT_URI, REGISTERED_VAULT_URIS, seed
from kvadmin.emulator.state import Azure
from kvadmin.emulator.store import Secret

NOW = datetime(2026, 12, 2, 11, 30, tzinfo=UTC)


def seeded(**options: int) -> Azure:
    azure = Azure()
    azure.clock.set(NOW)
    seed(azure, **options)
    return azure


@pytest.fixture(scope="module")
def cloud() -> Azure:
    return seeded()


def secrets(azure: Azure) -> list[Secret]:
    return [secret for vault in azure.vaults.values() for secret in vault.secrets.page("", 10_000)[0]]


def values(azure: Azure) -> list[str]:
    return [version.value for secret in secrets(azure) for version in secret.versions.values()]


def reads(azure: Azure, name: str) -> list[AuditRow]:
    return [row for row in azure.log if row.identity and row.identity.name == name and row.operation == "SecretGet"]


def certificates(azure: Azure) -> list[bytes]:
    kept = [found for vault in azure.vaults.values() for found in vault.certificates.values()]
    return [version.der for found in kept for version in found.versions.values()]


def facts(azure: Azure) -> list[Any]:
    """The log without its times, which a clock that runs on moves by some microseconds."""
    return [(row.operation, row.status, row.object_id_url, row.correlation_id) for row in azure.log]


def test_there_are_three_subscriptions_and_twelve_vaults(cloud: Azure) -> None:
    assert [subscription.name for subscription in cloud.subscriptions.values()] == [
        "Payments production",
        "Shared platform",
        "Sandbox",
    ]
    assert len(cloud.vaults) == 12
    assert {vault.tags["environment"] for vault in cloud.vaults.values()} == {"prod", "staging", "dev"}
    assert {vault.rbac for vault in cloud.vaults.values()} == {True, False}


def test_there_are_about_six_hundred_secrets_in_vaults_that_can_be_listed(cloud: Azure) -> None:
    unwell = {"pay-cards-prod", "platform-shared", "sandbox-data", "sandbox-load"}

    listed = sum(len(vault.secrets) for vault in cloud.vaults.values() if vault.name not in unwell)

    assert 580 <= listed <= 640


def test_the_workspaces_have_different_tables(cloud: Azure) -> None:
    assert [workspace.tables for workspace in cloud.workspaces.values()] == [("AZKVAuditLogs",), ("AzureDiagnostics",)]


def test_some_vaults_are_unwell_each_in_another_way(cloud: Azure) -> None:
    assert cloud.faults.take("pay-cards-prod", "SecretList") == Fault("firewall")
    assert cloud.faults.take("sandbox-data", "SecretList") == Fault("rbac")
    assert cloud.faults.take("sandbox-load", "SecretList") == Fault("throttled", retry_after=2)
    assert cloud.vault("platform-shared").public_network is False
    assert cloud.vault("sandbox-dev").workspace is None


def test_one_vault_has_to_be_registered_by_hand(cloud: Azure) -> None:
    invisible = [vault.uri for vault in cloud.vaults.values() if not vault.visible_in_arm]

    assert invisible == [REGISTERED_VAULT_URI] == list(REGISTERED_VAULT_URIS)


def test_kvadmin_may_use_the_vaults_with_access_policies(cloud: Azure) -> None:
    policies = [vault.access_policies for vault in cloud.vaults.values() if not vault.rbac]

    assert [KVADMIN.object_id in policy for policy in policies] == [True] * len(policies)


@pytest.mark.parametrize("name", ["new", "delete", "versions", "000", "-abc", "db-password"])
def test_names_that_are_words_of_a_url_are_there(cloud: Azure, name: str) -> None:
    assert cloud.vault("pay-prod").secrets.get(name) is not None


def test_every_name_and_every_field_is_one_that_azure_accepts(cloud: Azure) -> None:
    names = [secret.name for secret in secrets(cloud)]
    versions = [version for secret in secrets(cloud) for version in secret.versions.values()]

    assert [name for name in names if not re.fullmatch(r"[0-9A-Za-z-]{1,127}", name)] == []
    assert max(len(name) for name in names) == 127
    assert max(len(value.encode()) for value in values(cloud)) == 25_600
    assert max(len(version.tags or {}) for version in versions) == 15
    assert max(len(version.content_type or "") for version in versions) == 255


@pytest.mark.parametrize(
    "part",
    ['ABC"$$123==', "<script>", "\r\n", "-----BEGIN ", "\u200b", "\u202e", '"clusters": [', "\t", "\U0001f511"],
)
def test_awkward_values_are_there(cloud: Azure, part: str) -> None:
    assert any(part in value for value in values(cloud))


def test_values_can_begin_with_a_mark_or_end_with_a_newline(cloud: Azure) -> None:
    assert any(value.startswith("\ufeff") for value in values(cloud))
    assert any(value.endswith("newline\n") for value in values(cloud))


def test_a_secret_can_have_300_versions_and_versions_of_one_second(cloud: Azure) -> None:
    token = cloud.vault("platform-prod").secrets.get("build-agent-token")
    tied = cloud.vault("identity-prod").secrets.get("session-signing-key")

    assert token is not None
    assert tied is not None
    assert len(token.versions) == 300
    assert max(Counter(version.created for version in tied.versions.values()).values()) == 4


@pytest.mark.parametrize(
    ("name", "days"),
    [("expires-tomorrow", 1), ("expires-in-7-days", 7), ("expires-in-30-days", 30), ("expired-last-week", -7)],
)
def test_expiry_dates_are_near_and_past(cloud: Azure, name: str, days: int) -> None:
    secret = cloud.vault("pay-prod").secrets.get(name)

    assert secret is not None
    assert secret.latest.expires_on == int((NOW + timedelta(days=days)).timestamp())


def test_there_are_disabled_managed_and_not_yet_valid_ones(cloud: Azure) -> None:
    latest = [secret.latest for secret in secrets(cloud)]

    assert sum(not version.enabled for version in latest) > 5
    assert sum(secret.managed for secret in secrets(cloud)) == 3
    assert next(version.kid for version in latest if version.kid).startswith(
        "https://pay-prod.vault.azure.net/keys/tls-"
    )
    assert any((version.not_before or 0) > NOW.timestamp() for version in latest)


def test_the_log_reaches_back_thirty_days_and_not_into_the_future(cloud: Azure) -> None:
    times = [row.time for row in cloud.log]

    assert times == sorted(times)
    assert NOW - timedelta(days=30) <= times[0] < NOW - timedelta(days=29)
    assert NOW - timedelta(hours=2) < times[-1] <= cloud.clock.now()


def test_people_apps_and_managed_identities_read(cloud: Azure) -> None:
    kinds = Counter(row.identity.kind for row in cloud.log if row.identity and row.status == 200)

    assert kinds["managed-identity"] > kinds["app"] > kinds["person"] > 500


def test_people_work_by_day(cloud: Azure) -> None:
    hours = [row.time.hour for row in reads(cloud, "Ada Sparrow")]

    assert min(hours) >= 8
    assert max(hours) <= 18


def test_refused_and_missing_reads_are_there(cloud: Azure) -> None:
    statuses = Counter(row.status for row in cloud.log if row.operation == "SecretGet")

    assert statuses[403] > 30
    assert statuses[404] > 5
    assert all(row.result_description for row in cloud.log if row.status in {403, 404})


def test_a_read_names_the_version_that_was_the_newest_then(cloud: Azure) -> None:
    secret = cloud.vault("pay-prod").secrets.get("db-password")
    assert secret is not None
    rotated = max(version.created for version in secret.versions.values())
    ids = [version.id for version in secret.versions.values()]

    read = {
        (row.time.timestamp() >= rotated, row.object_id_url.rsplit("/", 1)[1])
        for row in cloud.log
        if row.vault.name == "pay-prod" and "/db-password/" in row.object_id_url and row.operation == "SecretGet"
    }

    assert read == {(False, ids[-2]), (True, ids[-1])}


def test_somebody_new_reads_at_night(cloud: Azure) -> None:
    (row,) = reads(cloud, seed_people.NEWCOMER.name)

    assert (row.time.hour, row.time.minute, row.status) == (3, 12, 200)


def test_kvadmin_s_identity_is_used_by_somebody_else(cloud: Azure) -> None:
    (row,) = reads(cloud, KVADMIN.name)

    assert (row.identity and row.identity.object_id, row.status) == (KVADMIN.object_id, 200)
    assert (row.client_info, row.caller_address) != ("", KVADMIN.address)
    assert not row.client_info.startswith("kvadmin/")


def test_a_burst_and_a_streak_of_refusals_can_be_found(cloud: Azure) -> None:
    guest = [row for row in reads(cloud, seed_people.GUEST.name) if row.client_info == seed_people.POWERSHELL.agent]
    refused = [row for row in reads(cloud, "settlement-batch") if row.status == 403]

    assert len(guest) == 40
    assert guest[-1].time - guest[0].time < timedelta(minutes=4)
    assert len(refused) == 26


def test_the_blind_vault_has_rows_that_nobody_will_ever_see(cloud: Azure) -> None:
    assert {row.workspace for row in cloud.log if row.vault.name == "sandbox-dev"} == {None}


def test_no_address_and_no_name_belongs_to_anybody(cloud: Azure) -> None:
    people = {row.identity.upn for row in cloud.log if row.identity and row.identity.upn}

    assert len(people) == 9
    assert {upn.rsplit("@")[-1] for upn in people} == {"fernhill.example", "mail.example"}


def test_the_same_seed_gives_the_same_cloud() -> None:
    first, second, other = seeded(days=1), seeded(days=1), seeded(days=1, rng_seed=2)

    assert values(first) == values(second) != values(other)
    assert facts(first)[:200] == facts(second)[:200] != facts(other)[:200]


def test_the_log_is_as_long_as_asked() -> None:
    azure = seeded(days=3)

    assert NOW - timedelta(days=3) <= azure.log[0].time


def test_ids_are_guids() -> None:
    guid = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

    assert [i for i in (*seed_cloud.SUBSCRIPTIONS, seed_cloud.SECURITY_WORKSPACE) if not guid.fullmatch(i)] == []


def test_whoever_reads_in_the_log_still_may_but_for_the_one_of_that_night_and_the_thief(cloud: Azure) -> None:
    """The thief holds kvadmin's own credential, so only their address gives them away."""

    def may(row: AuditRow) -> bool:
        held = row.vault.access_policies.get(row.identity.object_id, frozenset()) if row.identity else frozenset()
        scope = row.vault.resource_id.lower()
        by_role = row.identity and cloud.assignments.data_action(row.identity.object_id, GET, scope)
        return bool(held & {"get", "all"}) or bool(by_role)

    read = [row for row in cloud.log if row.operation == "SecretGet" and row.status == 200 and row.identity]

    assert {row.identity.name for row in read if row.identity and not may(row)} == {seed_people.NEWCOMER.name}


def test_there_are_keys_of_every_kind_and_more_than_one_page_of_them(cloud: Azure) -> None:
    kinds = {key.latest.kty for vault in cloud.vaults.values() for key in vault.keys.values()}

    assert kinds == {"RSA", "RSA-HSM", "EC", "oct-HSM"}
    assert len(cloud.vault("sandbox-dev").keys) > 100
    assert len(cloud.vault("pay-prod").keys["card-data"].versions) == 4


def test_every_managed_secret_has_its_certificate_and_its_key(cloud: Azure) -> None:
    for vault in cloud.vaults.values():
        managed = {secret.name for secret in vault.secrets.page("", 10_000)[0] if secret.managed}
        assert {certificate.name for certificate in vault.certificates.values()} == managed
        for certificate in vault.certificates.values():
            secret = vault.secrets.get(certificate.name)
            assert secret is not None
            assert list(certificate.versions) == list(secret.versions) == list(vault.keys[certificate.name].versions)
            assert certificate.latest.expires_on == secret.latest.expires_on


def test_some_secrets_were_deleted_lately(cloud: Azure) -> None:
    deleted = {vault.name: len(vault.secrets.all_deleted(cloud.clock.now())) for vault in cloud.vaults.values()}

    assert {name: count for name, count in deleted.items() if count} == {
        "pay-prod": 2,
        "pay-staging": 2,
        "identity-prod": 1,
        "sandbox-dev": 2,
    }


def test_certificates_come_out_the_same_each_time(cloud: Azure) -> None:
    again = seeded()

    assert certificates(again) == certificates(cloud)
