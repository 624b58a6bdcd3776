"""What callers of the gateway catch: few classes, a code each, and one plain sentence per code.

Nothing here knows Azure's SDK; classify.py turns its exceptions and answers into these. No error of ours carries the
SDK's text, because the text of a broken answer can be the secret itself.
"""

from __future__ import annotations

from typing import Any

MOST_RAW = 2_000

# code: (the sentence for anybody, what to do for whoever runs kvadmin). {identity}, {role}, {permission}, {kind},
# {address},
# {host} and {again} are filled in by classify.py.
WORDS: dict[str, tuple[str, str]] = {
    "rbac": (
        "Azure refused this: {identity} has no role on this vault that allows it.",
        "Give {identity} the role {role} on the vault, its resource group or its subscription. "
        "A new role assignment takes up to ten minutes to work.",
    ),
    "access-policy": (
        "Azure refused this: the vault's access policies do not allow it to {identity}.",
        "Add the {kind} permission {permission} for {identity} to the vault's access policies.",
    ),
    "policy": (
        "Azure refused this: a rule of the vault forbids it to {identity}.",
        "The vault's access policy accepts this only from an application together with a signed-in user. "
        "Add a policy for {identity} alone.",
    ),
    "denied": (
        "Azure refused this: {identity} may not do it.",
        "Give {identity} the role {role} there. A new role assignment takes up to ten minutes to work.",
    ),
    "firewall": (
        "The vault's firewall does not let kvadmin in.",
        "Allow {address} in the vault's networking settings, or connect kvadmin through a private endpoint.",
    ),
    "private-link": (
        "The vault accepts private connections only, and kvadmin's did not come through one.",
        "Let kvadmin reach the vault through an approved private endpoint, and check that its private DNS zone is "
        "linked to kvadmin's network: the call came from {address}.",
    ),
    "disabled": (
        "The secret is disabled, so Azure does not give its value out.",
        "Enable the secret, or this version of it, in Azure if it is still meant to be used.",
    ),
    "not-found": (
        "Azure has nothing by that name here.",
        "It may have been deleted, purged or renamed since kvadmin last looked. Refresh the inventory, and look among "
        "the deleted ones.",
    ),
    "deleted-recoverable": (
        "A deleted secret still holds this name.",
        "Recover the deleted secret, or purge it, before the name can be used again.",
    ),
    "being-deleted": (
        "The secret is being deleted at this moment.",
        "Wait a minute and try again.",
    ),
    "not-deleted": (
        "The secret is not deleted, so there is nothing to recover.",
        "Refresh the inventory: somebody may have recovered it already.",
    ),
    "managed": (
        "The secret belongs to a certificate, so it cannot be changed by itself.",
        "Renew, change or delete the certificate of the same name: its secret follows.",
    ),
    "purge-protected": (
        "The vault has purge protection, so nobody can purge the secret before its scheduled date.",
        "Wait for the scheduled purge date, or recover the secret. Purge protection cannot be switched off.",
    ),
    "bad-backup": (
        "Azure cannot open this backup.",
        "It may be cut off or changed, or it was made in another subscription, geography or cloud: a backup can be "
        "restored only where it was made.",
    ),
    "not-as-sent": (
        "Azure's answer is not what was sent, so nobody can say what was stored.",
        "Look at the secret's newest version before anything is tried again. Something between kvadmin and Azure may "
        "have changed or replaced the call.",
    ),
    "conflict": (
        "Azure refused this because it conflicts with what is there now.",
        "Look at the present state of the secret, and try again if it is still needed.",
    ),
    "throttled": (
        "Azure is receiving too many calls for this vault; try again {again}.",
        "One vault and region takes 4,000 reads and 300 new versions in ten seconds, shared by everybody who uses it. "
        "Find the busiest caller in the access log.",
    ),
    "dns": (
        "The name {host} does not resolve.",
        "The vault was deleted, its name is wrong, or kvadmin's network has no private DNS zone for it.",
    ),
    "timeout": (
        "Azure did not answer in time; try again.",
        "Check the network path from kvadmin to Azure: a firewall that drops packets looks like this.",
    ),
    "unreachable": (
        "The connection to Azure failed; try again.",
        "Check the network path, the proxy and, if one is set, KVADMIN_CA_FILE.",
    ),
    "server": (
        "Azure had an error of its own; try again {again}.",
        "If it lasts, look at Azure's status page, and quote the request id to Microsoft's support.",
    ),
    "bad-answer": (
        "The answer could not be understood, so nothing of it was used.",
        "Something between kvadmin and Azure may have answered in its place, such as a proxy, or the answer was cut "
        "off.",
    ),
    "credential": (
        "kvadmin could not sign in to Azure.",
        "Check KVADMIN_CREDENTIAL and the settings that belong to it.",
    ),
    "own-sign-in": (
        "Microsoft wants you to sign in again before your own rights can be used.",
        "If that does not help: docs/entra.md tells what the app registration needs, and Conditional Access may stand "
        "in the way.",
    ),
    "refused": (
        "Azure does not accept this request.",
        "The name, the version or one of the values breaks a rule of Azure.",
    ),
    "no-table": (
        "The workspace has never received an access log of a key vault.",
        "Create a diagnostic setting on a vault that sends its audit log to this workspace. The first rows arrive "
        "within minutes.",
    ),
}

_UNKNOWN = {
    "identity": "kvadmin's identity",
    "role": "that allows it",
    "permission": "that is needed",
    "kind": "secret",
    "address": "kvadmin's outgoing address",
    "host": "of the vault",
    "again": "in a little while",
}


class GatewayError(Exception):
    """Something that Azure, or the way to it, did not do.

    Attributes:
        code: one of WORDS; what code and templates decide by.
        sentence: one plain sentence for anybody; `str(error)` is the same.
        lasting: the sentence for what is stored and read later: "in a little while" instead of "in 2 s".
        advice: what to do, for whoever runs kvadmin.
        status: Azure's HTTP status, or None when there was no answer.
        inner: the innermost of Azure's error codes, such as "ForbiddenByRbac" or "SecretNotFound", or "".
        request_id: the answer's `x-ms-request-id`, which Azure's log shows as CorrelationId, or "".
        retry_after: the seconds after which Azure asks to be called again, or None.
        address: the address that the vault saw the call come from, or "".
        definite: True when Azure certainly did nothing: gave no value out, and changed nothing.
        raw: the body of Azure's error for administrators, at most 2,000 characters; "" whenever the answer could
            carry a value (2xx, or not readable as an error).
        counted: whether the metrics have it already.
    """

    def __init__(
        self,
        code: str,
        *,
        status: int | None = None,
        inner: str = "",
        request_id: str = "",
        retry_after: int | None = None,
        definite: bool = False,
        raw: str = "",
        sentence: str = "",
        advice: str = "",
        **details: str,
    ) -> None:
        if retry_after is not None:
            details.setdefault("again", f"in {retry_after} s")
        known = _UNKNOWN | {name: detail for name, detail in details.items() if detail}
        said, advised = WORDS[code]
        self.code = code
        self.sentence = sentence or said.format_map(known)
        self.lasting = sentence or said.format_map(known | {"again": _UNKNOWN["again"]})
        self.advice = advice or advised.format_map(known)
        self.status = status
        self.inner = inner
        self.request_id = request_id
        self.retry_after = retry_after
        self.address = details.get("address", "").partition(" ")[0]
        self.definite = definite
        self.raw = raw[:MOST_RAW]
        self.counted = False
        super().__init__(self.sentence)


class Denied(GatewayError):
    """Azure refuses kvadmin's identity: "rbac", "access-policy", "policy" or "denied"."""


class Blocked(GatewayError):
    """The vault's network rules refuse the call: "firewall" or "private-link"."""


class Disabled(GatewayError):
    """The secret or the version is switched off: "disabled"."""


class NotFound(GatewayError):
    """No such secret, version, vault or workspace: "not-found"."""


class NoTable(GatewayError):
    """Neither table of access logs exists in the workspace: "no-table"."""


class Conflict(GatewayError):
    """ "deleted-recoverable", "being-deleted", "not-deleted" or "conflict"."""


class Throttled(GatewayError):
    """Too many calls: "throttled"; `retry_after` is set when Azure named a time."""


class Unreachable(GatewayError):
    """No answer came: "dns", "timeout" or "unreachable"."""


class ServerError(GatewayError):
    """Azure failed by itself: "server"."""


class BadAnswer(GatewayError):
    """An answer came that is none of Azure's, half of one, or to another question: "bad-answer", "not-as-sent"."""


class SignInFailed(GatewayError):
    """kvadmin's own credential did not work: "credential". Or that of a person for whom it acts: "own-sign-in"."""


class Refused(GatewayError):
    """The request itself is wrong, by Azure's rules or by ours: "refused", "managed", "purge-protected" or
    "bad-backup"."""


_CLASSES: dict[str, type[GatewayError]] = {
    **dict.fromkeys(("rbac", "access-policy", "policy", "denied"), Denied),
    **dict.fromkeys(("firewall", "private-link"), Blocked),
    **dict.fromkeys(("deleted-recoverable", "being-deleted", "not-deleted", "conflict"), Conflict),
    **dict.fromkeys(("bad-answer", "not-as-sent"), BadAnswer),
    **dict.fromkeys(("refused", "managed", "purge-protected", "bad-backup"), Refused),
    **dict.fromkeys(("dns", "timeout", "unreachable"), Unreachable),
    "disabled": Disabled,
    "not-found": NotFound,
    "no-table": NoTable,
    "throttled": Throttled,
    "server": ServerError,
    "credential": SignInFailed,
    "own-sign-in": SignInFailed,
}


def error_for(code: str, **facts: Any) -> GatewayError:
    """The error of the class that belongs to `code`; `facts` as GatewayError takes them."""
    return _CLASSES[code](code, **facts)


def refused(sentence: str) -> GatewayError:
    """A request that kvadmin does not send at all, with the sentence that says why."""
    return error_for("refused", sentence=sentence, definite=True)
