"""The operations on certificates that read: lists, versions, one certificate, its policy."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from kvadmin.emulator import answers
from kvadmin.emulator.bundles import attributes, dump, present
from kvadmin.emulator.calls import Call, operation, page_answer
from kvadmin.emulator.http import Response, json_response
from kvadmin.emulator.objects import Certificate, CertificateVersion
from kvadmin.emulator.resources import Vault

READ_CERTIFICATES = "Microsoft.KeyVault/vaults/certificates/read"


def list_certificates(call: Call) -> Response:
    """A page of certificates by name."""
    return page_answer(call, call.vault.certificates, lambda found: _item(call.vault, found, found.latest, ""))


def list_versions(call: Call) -> Response:
    """A page of a certificate's versions by their id; an unknown one has none."""
    found = call.vault.certificates.get(call.name.lower()) or Certificate(call.name)
    return page_answer(call, found.versions, lambda version: _item(call.vault, found, version, f"/{version.id}"))


def get_certificate(call: Call) -> Response:
    """A certificate without its private key; the newest one comes with the policy."""
    found = _certificate(call)
    version = found.version(call.version)
    if version is None:
        raise answers.not_found("certificate", f"{call.name}/{call.version}")
    place = f"{found.name}/{version.id}"
    call.object_id = f"{call.vault.uri}certificates/{place}"
    body = {
        "id": call.object_id,
        "kid": f"{call.vault.uri}keys/{place}",
        "sid": f"{call.vault.uri}secrets/{place}",
        "x5t": _thumbprint(version),
        "cer": base64.b64encode(version.der).decode(),
        "contentType": version.content_type,
        "attributes": attributes(call.vault, version, version.created),
        **present(tags=version.tags),
    }
    return json_response(200, body | ({} if call.version else {"policy": _policy(call.vault, found)}))


def get_policy(call: Call) -> Response:
    """The policy alone."""
    found = _certificate(call)
    call.object_id = f"{call.vault.uri}certificates/{found.name}"
    return json_response(200, _policy(call.vault, found))


def _certificate(call: Call) -> Certificate:
    found = call.vault.certificates.get(call.name.lower())
    if found is None:
        raise answers.not_found("certificate", call.name)
    return found


def _policy(vault: Vault, found: Certificate) -> dict[str, Any]:
    return {"id": f"{vault.uri}certificates/{found.name}/policy", **found.policy}


def _item(vault: Vault, found: Certificate, version: CertificateVersion, suffix: str) -> bytes:
    return dump(
        present(
            id=f"{vault.uri}certificates/{found.name}{suffix}",
            x5t=_thumbprint(version),
            attributes=attributes(vault, version, version.created),
            tags=version.tags,
        )
    )


def _thumbprint(version: CertificateVersion) -> str:
    digest = hashlib.sha1(version.der, usedforsecurity=False).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


OPERATIONS = (
    operation("CertificateList", "GET", "/certificates/?", READ_CERTIFICATES, "certificates/list", list_certificates),
    operation(
        "CertificateListVersions",
        "GET",
        "/certificates/{n}/versions/?",
        READ_CERTIFICATES,
        "certificates/list",
        list_versions,
    ),
    operation(
        "CertificatePolicyGet", "GET", "/certificates/{n}/policy/?", READ_CERTIFICATES, "certificates/get", get_policy
    ),
    operation(
        "CertificateGet", "GET", "/certificates/{n}(?:/{v})?", READ_CERTIFICATES, "certificates/get", get_certificate
    ),
)
