from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import azure.identity
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from django.utils import timezone

from kvadmin.emulator import identities
from kvadmin.gateway import client
from kvadmin.gateway.credentials import EmulatedCredential, credential_for
from kvadmin.gateway.errors import SignInFailed

TENANT = "7c1e3b52-0d4f-4f0e-9a57-3a1f6c2d8e90"
AUTHORITY = "login.microsoftonline.com"


@pytest.fixture
def real(settings: Any) -> Any:
    """Settings for the real Azure, with everything that any credential needs but the certificate."""
    settings.KVADMIN_EMULATOR = ""
    settings.KVADMIN_TENANT_ID = TENANT
    settings.KVADMIN_CLIENT_ID = "a3c9e871-5d26-4b8a-9f40-1e7b2c6d5f02"
    settings.KVADMIN_CLIENT_SECRET = "sample-secret"
    settings.KVADMIN_ALLOWED_TENANTS = ["11111111-0000-4000-8000-00000000000a"]
    return settings


def certificate_file(folder: Path) -> Path:
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kvadmin")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    day = timezone.timedelta(days=1)
    now = timezone.now()
    made = builder.serial_number(1).not_valid_before(now - day).not_valid_after(now + day).sign(key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file = folder / "kvadmin.pem"
    file.write_bytes(made.public_bytes(pem) + private)
    return file


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("managed-identity", azure.identity.ManagedIdentityCredential),
        ("client-secret", azure.identity.ClientSecretCredential),
        ("azure-cli", azure.identity.AzureCliCredential),
        ("default", azure.identity.DefaultAzureCredential),
    ],
)
def test_the_setting_names_the_credential(real: Any, kind: str, expected: type):
    real.KVADMIN_CREDENTIAL = kind

    assert type(credential_for(real, authority=AUTHORITY)) is expected


def test_a_managed_identity_may_be_the_machines_own(real: Any):
    real.KVADMIN_CREDENTIAL, real.KVADMIN_CLIENT_ID = "managed-identity", ""

    assert type(credential_for(real, authority=AUTHORITY)) is azure.identity.ManagedIdentityCredential


def test_a_certificate_is_read_from_its_file(real: Any, tmp_path: Path):
    real.KVADMIN_CREDENTIAL = "client-certificate"
    real.KVADMIN_CLIENT_CERTIFICATE = str(certificate_file(tmp_path))

    assert type(credential_for(real, authority=AUTHORITY)) is azure.identity.CertificateCredential


def test_a_workload_identity_takes_its_token_file_from_the_cluster(
    real: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    real.KVADMIN_CREDENTIAL = "workload-identity"
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(tmp_path / "token"))

    assert type(credential_for(real, authority=AUTHORITY)) is azure.identity.WorkloadIdentityCredential


@pytest.mark.parametrize(
    ("kind", "empty", "advice"),
    [
        ("client-secret", "KVADMIN_CLIENT_SECRET", "KVADMIN_CREDENTIAL=client-secret needs AZURE_CLIENT_SECRET."),
        ("client-secret", "KVADMIN_TENANT_ID", "KVADMIN_CREDENTIAL=client-secret needs AZURE_TENANT_ID."),
        ("workload-identity", "KVADMIN_CLIENT_ID", "KVADMIN_CREDENTIAL=workload-identity needs AZURE_CLIENT_ID."),
        (
            "client-certificate",
            "KVADMIN_CLIENT_CERTIFICATE",
            "KVADMIN_CREDENTIAL=client-certificate needs AZURE_CLIENT_CERTIFICATE_PATH.",
        ),
    ],
)
def test_a_setting_that_is_missing_is_named(real: Any, kind: str, empty: str, advice: str):
    real.KVADMIN_CREDENTIAL = kind
    setattr(real, empty, "")

    with pytest.raises(SignInFailed) as caught:
        credential_for(real, authority=AUTHORITY)

    assert (caught.value.advice, caught.value.definite) == (advice, True)


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_certificate_that_cannot_be_read_is_told_without_its_content(real: Any, tmp_path: Path, content: str | None):
    file = tmp_path / "kvadmin.pem"
    if content:
        file.write_text(content)
    real.KVADMIN_CREDENTIAL, real.KVADMIN_CLIENT_CERTIFICATE = "client-certificate", str(file)

    with pytest.raises(SignInFailed) as caught:
        credential_for(real, authority=AUTHORITY)

    assert (caught.value.__context__, caught.value.advice) == (
        None,
        "KVADMIN_CREDENTIAL=client-certificate cannot be set up: a file it names is missing or unreadable.",
    )


@pytest.mark.parametrize("kind", ["managed-identity", "client-secret", "azure-cli", "default", "workload-identity"])
def test_with_the_emulator_no_real_credential_is_ever_made(real: Any, kind: str):
    real.KVADMIN_CREDENTIAL, real.KVADMIN_EMULATOR = kind, "memory://tests"

    assert type(credential_for(real, authority=AUTHORITY)) is EmulatedCredential


def test_an_emulated_token_names_kvadmins_emulated_identity_and_is_signed_by_nobody():
    token = EmulatedCredential().get_token_info("https://vault.azure.net/.default", options={"tenant_id": TENANT}).token

    header, claims, signature = token.split(".")
    assert (json.loads(decoded(header)), signature) == ({"typ": "JWT", "alg": "none"}, "")
    assert json.loads(decoded(claims))["oid"] == identities.KVADMIN.object_id


def test_an_emulated_token_needs_no_options():
    credential = EmulatedCredential()

    assert credential.get_token_info("https://x/.default").token == credential.get_token("https://x/.default").token


def test_one_process_has_one_credential(azure: Any):
    assert client.credential() is client.credential()


def decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
