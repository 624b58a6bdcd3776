"""The operations on certificates that read: lists, versions, one certificate, its policy."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

from kvadmin.emulator import answers, rules
from kvadmin.emulator.calls import Call, list_answer, marker_of, operation
from kvadmin.emulator.http import Response, json_response
from kvadmin.emulator.keys import attributes
from kvadmin.emulator.objects import Certificate, CertificateVersion
from kvadmin.emulator.resources import Vault
from kvadmin.emulator.store import page

READ_CERTIFICATES = "Microsoft.KeyVault/vaults/certificates/read"


def list_certificates(call: Call) -> Response:
    """A page of certificates by name."""
    size, kept = rules.page_size(call.request), call.vault.certificates
    names, following = page(sorted(kept), marker_of(call.request)[0], size)
    items = [_item(call.vault, kept[name], kept[name].latest, "") for name in names]
    return list_answer(call, items, {"NextMarker": following} if following else None, size)


def list_versions(call: Call) -> Response:
    """A page of a certificate's versions by their id; an unknown one has none."""
    size = rules.page_size(call.request)
    found = call.vault.certificates.get(call.name.lower())
    versions = found.versions if found else {}
    ids, following = page(sorted(versions), marker_of(call.request)[0], size)
    items = [_item(call.vault, found, versions[key], f"/{key}") for key in ids] if found else []
    return list_answer(call, items, {"NextMarker": following} if following else None, size)


def get_certificate(call: Call) -> Response:
    """A certificate without its private key; the newest one comes with the policy."""
    found = _certificate(call)
    version = found.versions.get(call.version.lower()) if call.version else found.latest
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
        "attributes": attributes(call.vault, version),
        **_tags(version),
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
    shown = {
        "id": f"{vault.uri}certificates/{found.name}{suffix}",
        "x5t": _thumbprint(version),
        "attributes": attributes(vault, version),
        **_tags(version),
    }
    return json.dumps(shown, ensure_ascii=False, separators=(",", ":")).encode()


def _tags(version: CertificateVersion) -> dict[str, Any]:
    return {} if version.tags is None else {"tags": version.tags}


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
