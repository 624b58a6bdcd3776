"""Key Vault's refusals, word for word where they were ever seen, and the answers of a network that misbehaves."""

from __future__ import annotations

from kvadmin.emulator.faults import Fault, NetworkError
from kvadmin.emulator.http import Response, json_response

RECOVER_HINT = "If you recently deleted this secret you may be able to recover it using the correct recovery command."
HELP = "For help resolving this issue, please see https://go.microsoft.com/fwlink/?linkid="
PROXY_PAGE = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body><h1>Proxy sign-in</h1></body></html>"
SERVER_ERRORS = {
    500: ("InternalServerError", "An internal server error occurred."),
    503: ("ServiceUnavailable", "The service is temporarily unavailable. Try again later."),
}


class Refusal(Exception):
    """An answer other than success. `inner` is innererror's code; "" leaves innererror out, as Azure does."""

    def __init__(
        self, status: int, code: str, message: str, inner: str = "", headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.inner = inner
        self.headers = headers or {}

    def response(self) -> Response:
        """The refusal as it goes over the wire."""
        error: dict[str, object] = {"code": self.code, "message": self.message}
        if self.inner:
            error["innererror"] = {"code": self.inner}
        return json_response(self.status, {"error": error}, self.headers)


def bad_parameter(message: str) -> Refusal:
    """400: a part of the request breaks a rule."""
    return Refusal(400, "BadParameter", message)


def secret_not_found(what: str) -> Refusal:
    """404 for a name, or a name and version, that the vault does not hold."""
    message = f"A secret with (name/id) {what} was not found in this key vault. {RECOVER_HINT} {HELP}2125182"
    return Refusal(404, "SecretNotFound", message)


def not_found(kind: str, what: str) -> Refusal:
    """404 for a key or a certificate (`kind`) that the vault does not hold."""
    hint = f"If you recently deleted this {kind} you may be able to recover it using the correct recovery command."
    message = f"A {kind} with (name/id) {what} was not found in this key vault. {hint} {HELP}2125182"
    return Refusal(404, f"{kind.capitalize()}NotFound", message)


def deleted_not_found(name: str) -> Refusal:
    """404 for a deleted secret that is not there, or not yet."""
    return Refusal(404, "SecretNotFound", f"Deleted Secret not found: {name}")


def deleted_but_recoverable(name: str) -> Refusal:
    """409 when a deleted secret holds the name."""
    message = (
        f"Secret {name} is currently in a deleted but recoverable state, and its name cannot be reused; "
        "in this state, the secret can only be recovered or purged."
    )
    return Refusal(409, "Conflict", message, "ObjectIsDeletedButRecoverable")


def being_deleted(name: str) -> Refusal:
    """409 while a deletion or a purge is under way."""
    message = f"Secret {name} is currently being deleted and cannot be re-created; retry later."
    return Refusal(409, "Conflict", message, "ObjectIsBeingDeleted")


def not_deleted(name: str) -> Refusal:
    """400 for the recovery of a secret that lives."""
    return Refusal(400, "MethodNotAllowed", f"Secret exists already: {name}", "RequestNotAllowedOnNonDeletedObject")


def disabled() -> Refusal:
    """403 for the value of a disabled secret."""
    message = "Operation get is not allowed on a disabled secret."
    return Refusal(403, "Forbidden", message, "SecretDisabled")


def managed(verb: str) -> Refusal:
    """403 for a change to a secret that belongs to a certificate. No recording of it is public: the text is ours."""
    message = f"Operation {verb} is not allowed on a secret that is managed by Key Vault."
    return Refusal(403, "Forbidden", message, "SecretManagedByKeyVault")


def purge_protected() -> Refusal:
    """403 for a purge in a vault with purge protection."""
    message = (
        'Operation "purge" is not allowed because purge protection is enabled for this vault. '
        "Key Vault service will automatically purge it after the retention period has passed."
    )
    return Refusal(403, "Forbidden", message)


def restore_conflict(secret_id: str) -> Refusal:
    """409 when the name of a backup is in use; without innererror, as recorded."""
    message = (
        f"There was a conflict restoring the secret '{secret_id}'. This can happen if either: a second secret with "
        "the same name was created after the first secret was deleted; thus trying to restore a secret whose name "
        "is already in use. To fix this, rename the second secret to something else so that the restore works. The "
        "second probable cause of this exception is when multiple operations are performed in parallel against the "
        "secret. To avoid this error, perform operations against a secret in a sequential manner."
    )
    return Refusal(409, "Conflict", message)


def malformed_backup() -> Refusal:
    """400 for a backup that this cloud did not make."""
    return Refusal(400, "Malformed backup blob", "Backup blob is corrupt.")


def throttled(retry_after: int | None) -> Refusal:
    """429; Azure was seen to leave Retry-After out."""
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    reason = "Request was not processed because too many requests were received."
    return Refusal(429, "Throttled", f"{reason} Reason: VaultRequestTypeLimitReached", headers=headers)


def server_error(status: int) -> Refusal:
    """A 5xx."""
    code, message = SERVER_ERRORS.get(status, SERVER_ERRORS[500])
    return Refusal(status, code, message)


def instead(fault: Fault | None, host: str) -> Response | None:
    """What comes back without the service having worked: a proxy's page, or nothing at all (NetworkError)."""
    if fault is None:
        return None
    if fault.kind in {"dns", "reset"}:
        raise NetworkError(fault.kind, host)
    if fault.kind == "html":
        return Response(200, {"Content-Type": "text/html; charset=utf-8"}, PROXY_PAGE)
    return None


def spoil(response: Response, fault: Fault | None, host: str) -> Response:
    """What the network makes of an answer that the service gave."""
    kind = fault.kind if fault else ""
    if kind == "lost":
        raise NetworkError("reset", host)
    if fault and kind == "slow":
        response.delay = fault.seconds
    if kind == "truncated" and response.status == 200:
        # The cut is late, so that a value, which comes first, is in what is left: the worst case for a careless client.
        response.body = response.body[: -min(20, len(response.body) // 2)]
    return response
