"""Who, through what, what, and what came of it: read from Azure's rows as they really are."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.db.models import CharField

from audit import parse, shapes
from audit.models import AccessEvent

RECORDS: dict[str, dict[str, dict[str, Any]]] = json.loads(
    (Path(__file__).parent / "fixtures" / "audit_records.json").read_text()
)
NO_SAMPLE_LOST = {"records": 12, "diagnostics": 17, "dedicated": 4}
AZURE_CLI = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
NOBODY = "00000000-0000-0000-0000-000000000000"
VERSION = "6b1f0c0a9d3e4f0f8f3c2b1a09876543"
AT = datetime(2026, 11, 30, 9, 14, 2, 871927, tzinfo=UTC)


def sample(shape: str, name: str) -> parse.Event:
    return parse.parse(shapes.to_row(RECORDS[shape][name]))


def row(**other: Any) -> dict[str, Any]:
    """A person's read of db-password in pay-prod through the Azure CLI, as the gateway hands it on."""
    plain = {
        "Source": "AZKVAuditLogs",
        "TimeGenerated": AT,
        "VaultId": "/subscriptions/s/resourcegroups/rg/providers/microsoft.keyvault/vaults/pay-prod",
        "OperationName": "SecretGet",
        "Status": 200,
        "ResultSignature": "OK",
        "ResultDescription": "",
        "CorrelationId": "0f8c2f0e-5a54-4f0e-9f0e-3a6a0e1d2c3b",
        "CallerIp": "203.0.113.20",
        "ClientInfo": "AZURECLI/2.79.0 (DEB) azsdk-python-keyvault-secrets/4.11.0 Python/3.12.10",
        "ObjectUrl": f"https://pay-prod.vault.azure.net/secrets/db-password/{VERSION}",
        "RequestUri": "https://pay-prod.vault.azure.net/secrets/db-password/?api-version=7.6",
        "DurationMs": 18,
        "Claims": claims(),
        "Raw": {"OperationName": "SecretGet"},
    }
    return plain | other


def claims(**other: Any) -> dict[str, Any]:
    plain = {
        "oid": "5d0b",
        "appid": "04b07795-8ddb-461a-bbee-02f9e1bf7b46",
        "upn": "nora@contoso.example",
        "idtyp": "user",
    }
    return {key: value for key, value in (plain | other).items() if value is not None}


def who(**other: Any) -> tuple[str, str]:
    event = parse.parse(row(Claims=claims(**other)))
    return event.who, event.who_kind


# --- Every real record -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("shape", ["records", "diagnostics", "dedicated"])
def test_every_real_record_is_read(shape: str) -> None:
    events = [sample(shape, name) for name in RECORDS[shape]]

    assert len(events) == NO_SAMPLE_LOST[shape]
    assert all(event.vault and event.operation and event.at.tzinfo == UTC for event in events)


@pytest.mark.parametrize("name", sorted(RECORDS["records"].keys() & RECORDS["diagnostics"].keys()))
def test_an_event_reads_the_same_from_storage_and_from_log_analytics(name: str) -> None:
    stored, logged = sample("records", name), sample("diagnostics", name)

    apart = [field for field in parse.Event.__slots__ if getattr(stored, field) != getattr(logged, field)]
    assert apart == ["source", "raw"]


@pytest.mark.parametrize(
    ("shape", "name", "expected"),
    [
        ("records", "certificate_create", ("certificates", "fdfdffffd", "", 202, "ok")),
        ("records", "key_get", ("keys", "egzghfgrrg", "", 404, "missing")),
        ("records", "key_list_1", ("keys", "", "", 403, "denied")),
        ("records", "secret_backup", ("secrets", "keykey", "", 200, "ok")),
        ("records", "secret_get_1", ("secrets", "a", "", 403, "denied")),
        ("records", "secret_list", ("secrets", "", "", 200, "ok")),
        ("records", "secret_purge", ("deletedsecrets", "mysecret", "", 403, "denied")),
        ("records", "secret_restore", ("secrets", "keykey", "", 409, "failed")),
        ("records", "vault_get_1", ("vaults", "", "", 200, "ok")),
        ("records", "secretget-azcli", ("secrets", "securaallsecret", "4c39bacace9a49b2bd542ce61bd6f312", 200, "ok")),
        ("records", "authentication-401", ("secrets", "", "", 401, "denied")),
        ("diagnostics", "mi-token-stolen", ("secrets", "cougar-database-pass", "3ee" + "0" * 29, None, "unknown")),
        ("dedicated", "azkv-keysign-200", ("keys", "deployer", "0123456789abcdef0123456789abcdef", 200, "ok")),
    ],
)
def test_what_was_acted_on_and_what_came_of_it(shape: str, name: str, expected: tuple[Any, ...]) -> None:
    event = sample(shape, name)

    assert (event.object_kind, event.name, event.version, event.status, event.outcome) == expected


@pytest.mark.parametrize(
    ("shape", "name", "expected"),
    [
        ("records", "secret_get_1", ("john.doe@example.onmicrosoft.com", "person", "Azure portal")),
        ("records", "secretget-azcli", ("alex.doe@example.onmicrosoft.com", "person", "Azure CLI")),
        ("records", "vault_get_1", ("app-id-000000000000x", "app", "Azure Resource Graph")),
        ("records", "authentication-401", ("", "unknown", "Azure SDK for .NET")),
        ("diagnostics", "mi-token-stolen", ("pumapreycougar", "managed-identity", "curl")),
        (
            "diagnostics",
            "azurediagnostics-secretget",
            (NOBODY, "app", "Azure SDK for .NET"),
        ),
        ("dedicated", "azkv-keysign-200", ("live.com#signer@example.com", "person", "Azure SDK for JavaScript")),
    ],
)
def test_who_called_and_through_what(shape: str, name: str, expected: tuple[str, str, str]) -> None:
    event = sample(shape, name)

    assert (event.who, event.who_kind, event.via) == expected


def test_a_value_left_the_vault_only_when_a_read_succeeded() -> None:
    reads = {name for name in RECORDS["records"] if sample("records", name).is_read}

    assert reads == {"secret_backup", "secretget-azcli"}


# --- Outcome ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("status", "signature", "outcome", "is_read"),
    [
        (200, "OK", "ok", True),
        (403, "OK", "denied", False),
        (401, "", "denied", False),
        (404, "Not Found", "missing", False),
        (429, "", "failed", False),
        (None, "OK", "ok", True),
        (None, "Forbidden", "denied", False),
        (0, "Not Found", "missing", False),
        (None, "", "unknown", True),
        ("200", "", "ok", True),
        (200.0, "", "ok", True),
    ],
)
def test_the_http_status_decides_and_an_untold_outcome_of_a_read_counts_as_a_read(
    status: Any, signature: str, outcome: str, is_read: bool
) -> None:
    event = parse.parse(row(Status=status, ResultSignature=signature, ResultType="Success"))

    assert (event.outcome, event.is_read) == (outcome, is_read)


# --- Who -------------------------------------------------------------------------------------------------------------
def test_a_guest_without_a_upn_goes_by_the_unique_name_and_keeps_what_tells_them_from_a_namesake() -> None:
    assert who(upn=None, unique_name="live.com#nora@contoso.example") == ("live.com#nora@contoso.example", "person")


def test_a_person_without_any_name_goes_by_the_object_id_and_never_by_the_clients_app_id() -> None:
    assert who(upn=None, scp="user_impersonation") == ("5d0b", "person")


def test_a_managed_identity_goes_by_its_resource() -> None:
    resource = "/subscriptions/s/resourcegroups/rg/providers/Microsoft.Web/sites/Shop"
    assert who(upn=None, idtyp="app", xms_mirid=resource) == ("Shop", "managed-identity")


def test_an_application_goes_by_its_app_id_then_by_its_object_id() -> None:
    assert who(upn=None, idtyp="app") == ("04b07795-8ddb-461a-bbee-02f9e1bf7b46", "app")
    assert who(upn=None, idtyp="app", appid=None) == ("5d0b", "app")


def test_without_idtyp_a_scope_makes_a_person_and_its_absence_an_application() -> None:
    assert who(upn=None, idtyp=None, scp="user_impersonation")[1] == "person"
    assert who(upn=None, idtyp=None)[1] == "app"


def test_rows_of_the_control_plane_name_people_by_long_claims() -> None:
    long = {
        "http://schemas.microsoft.com/identity/claims/objectidentifier": "OID-1",
        "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn": "ada@contoso.example",
        "appid": "c44b4083-3bb0-49c1-b47d-974e53cbdf3c",
    }
    event = parse.parse(row(OperationName="VaultPut", Claims=long))

    assert (event.who, event.who_kind, event.via, event.object_id) == (
        "ada@contoso.example",
        "person",
        "Azure portal",
        "oid-1",
    )


def test_claims_may_be_json_text_nonsense_or_missing() -> None:
    assert parse.parse(row(Claims=json.dumps(claims()))).who == "nora@contoso.example"
    assert parse.parse(row(Claims="not json")).who_kind == "unknown"
    assert parse.parse(row(Claims=None)).who_kind == "unknown"


@pytest.mark.parametrize(
    ("agent", "via"),
    [
        ("kvadmin/1.0 reveal/x kvadmin/1.0 azsdk-python-keyvault-secrets/4.12.0", "kvadmin, by its own word"),
        ("azsdk-python-keyvault-secrets/4.12.0 Python/3.12", "Azure SDK for Python"),
        ("3686488a-04fc-4d8a-b967-61f98ec41efe", "Azure portal"),
        ("00000000-0000-0000-0000-000000000001", ""),
        ("curl/8.5.0", "curl"),
        ("", ""),
    ],
)
def test_an_applications_client_is_what_its_user_agent_says(agent: str, via: str) -> None:
    assert parse.parse(row(ClientInfo=agent, Claims=claims(upn=None, idtyp="app"))).via == via


# --- What ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("operation", "url", "request_uri", "expected"),
    [
        ("SecretGet", "", "https://v.vault.azure.net/secrets/DB/?api-version=7.6", ("secrets", "db", "")),
        ("SecretGet", "", f"https://v.vault.azure.net:443/secrets/db/{VERSION}?_=1", ("secrets", "db", VERSION)),
        ("SecretListVersions", "", "https://v.vault.azure.net/secrets/db/versions", ("secrets", "db", "")),
        ("SecretGet", "", "https://v.vault.azure.net/secrets/restore/", ("secrets", "restore", "")),
        ("SecretRestore", "", "https://v.vault.azure.net/secrets/restore", ("secrets", "", "")),
        ("SecretRecover", "", "https://v.vault.azure.net/deletedsecrets/db/recover", ("deletedsecrets", "db", "")),
        (
            "KeyGet",
            "https://v.vault.azure.net/keys/k",
            "https://v.vault.azure.net/keys/k/" + VERSION,
            ("keys", "k", ""),
        ),
        ("SecretList", "", "https://v.vault.azure.net/secrets?maxresults=25", ("secrets", "", "")),
        ("CertificateContactsGet", "", "https://v.vault.azure.net/certificates/contacts", ("contacts", "", "")),
        ("CertificateIssuerGet", "", "https://v.vault.azure.net/certificates/issuers/ca", ("issuers", "ca", "")),
        ("VaultPatch", "", "https://weu.management.azure.com/subscriptions/s/x/vaults/v", ("vaults", "", "")),
        ("VaultGet", "", "https://control-prod-weu.vaultcore.azure.net/subscriptions/s", ("vaults", "", "")),
        ("VaultGet", "", "https://management.usgovcloudapi.net/subscriptions/s", ("vaults", "", "")),
        ("SecretGet", "https://[broken", "https://[broken", ("", "", "")),
        ("SecretGet", "", "", ("", "", "")),
    ],
)
def test_the_object_is_read_from_its_url_else_from_the_requests_path(
    operation: str, url: str, request_uri: str, expected: tuple[str, str, str]
) -> None:
    event = parse.parse(row(OperationName=operation, ObjectUrl=url, RequestUri=request_uri))

    assert (event.object_kind, event.name, event.version) == expected


def test_the_vault_comes_from_the_resource_id_else_from_its_host() -> None:
    assert parse.parse(row(VaultId="/SUBSCRIPTIONS/S/X/VAULTS/Pay-Prod/")).vault == "pay-prod"
    assert parse.parse(row(VaultId="")).vault == "pay-prod"
    china = "https://pay-cn.vault.azure.cn/secrets/a"
    assert parse.parse(row(VaultId="", ObjectUrl="", RequestUri=china)).vault == "pay-cn"


@pytest.mark.parametrize(
    "broken",
    [
        {"VaultId": "", "ObjectUrl": "", "RequestUri": "https://management.azure.com/subscriptions/s"},
        {"TimeGenerated": None},
        {"TimeGenerated": "yesterday"},
        {"OperationName": ""},
    ],
)
def test_a_row_that_is_no_event_is_unreadable(broken: dict[str, Any]) -> None:
    with pytest.raises(parse.Unreadable):
        parse.parse(row(**broken))


def test_a_time_with_seven_digits_loses_the_last_one() -> None:
    assert parse.parse(row(TimeGenerated="2026-11-30T09:14:02.8719279Z")).at == AT
    assert parse.parse(row(TimeGenerated="2026-11-30T10:14:02.871927+01:00")).at == AT
    assert parse.parse(row(TimeGenerated=AT.replace(tzinfo=None))).at == AT


# --- The reveal id and the fingerprint -------------------------------------------------------------------------------
def test_the_reveal_id_is_found_even_where_the_agent_is_cut_off() -> None:
    act = uuid.uuid4()
    event = parse.parse(row(ClientInfo=f"{'x' * 600} kvadmin/0.1.0 reveal/{act} kvadmin/0.1.0"))

    assert (event.reveal_id, len(event.agent)) == (act, 500)


@pytest.mark.parametrize(
    "agent", ["kvadmin/1.0", "reveal/0f8c2f0e-5a54-4f0e-9f0e-3a6a0e1d2c3b", "kvadmin/1 reveal/0f8c"]
)
def test_other_agents_claim_no_reveal(agent: str) -> None:
    assert parse.parse(row(ClientInfo=agent)).reveal_id is None


def test_one_event_from_both_tables_has_one_fingerprint() -> None:
    other = row(Source="AzureDiagnostics", CorrelationId=row()["CorrelationId"].upper(), Claims={}, DurationMs=None)

    assert parse.fingerprint(other) == parse.fingerprint(row())


@pytest.mark.parametrize(
    "change",
    [
        {"CorrelationId": "1"},
        {"OperationName": "SecretSet"},
        {"TimeGenerated": AT.replace(microsecond=871928)},
        {"RequestUri": "https://pay-prod.vault.azure.net/secrets/db/?api-version=7.6"},
        {"VaultId": "/x/vaults/pay-test"},
    ],
)
def test_two_events_have_two_fingerprints(change: dict[str, Any]) -> None:
    assert parse.fingerprint(row(**change)) != parse.fingerprint(row())


def test_without_a_correlation_id_two_callers_in_one_instant_stay_two() -> None:
    one, two = row(CorrelationId="", CallerIp="192.0.2.1"), row(CorrelationId="", CallerIp="192.0.2.2")

    assert parse.fingerprint(one) != parse.fingerprint(two)
    assert parse.fingerprint(one) == parse.fingerprint(row(CorrelationId="", CallerIp="192.0.2.1"))


# --- What a database can hold ----------------------------------------------------------------------------------------
def test_every_text_fits_its_column_whatever_was_logged() -> None:
    long = "x" * 5000
    url = f"https://v.vault.azure.net/secrets/{long}/{VERSION}"
    event = parse.parse(row(ObjectUrl=url, CallerIp=long, ClientInfo=long, CorrelationId=long, Claims=claims(upn=long)))

    texts = [field for field in AccessEvent._meta.concrete_fields if isinstance(field, CharField)]
    assert [field.name for field in texts if len(getattr(event, field.name, "")) > field.max_length] == []


def test_nul_bytes_half_surrogates_and_nan_are_made_storable() -> None:
    event = parse.parse(row(ClientInfo="a\x00b\ud800", Raw={"a\x00": ["\x00", float("nan"), 1, None, AT]}))

    assert event.agent == "a�b?"
    assert event.raw == {"a�": ["�", None, 1, None, AT.isoformat()]}


# --- Shapes ----------------------------------------------------------------------------------------------------------
def test_columns_beyond_the_tables_limit_are_found_in_additional_fields() -> None:
    columns = dict(RECORDS["diagnostics"]["secretget-azcli"])
    moved = {name: columns.pop(name) for name in ("httpStatusCode_d", "id_s", "identity_claim_upn_s")}
    event = parse.parse(shapes.to_row(columns | {"AdditionalFields": json.dumps(moved)}))

    assert event.who == "alex.doe@example.onmicrosoft.com"
    assert (event.status, event.name, event.is_read) == (200, "securaallsecret", True)


def test_an_id_may_stand_in_a_column_for_texts() -> None:
    columns = dict(RECORDS["diagnostics"]["secretget-azcli"])
    columns["identity_claim_oid_s"] = columns.pop("identity_claim_oid_g")

    assert parse.parse(shapes.to_row(columns)).object_id == "30a6c29d-0000-4000-8000-000000000005"
