"""What can go wrong with a vault, switched on by name."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass

# Names under which the services that are no vault have their faults; no vault can be called so. Their operations are
# "ResourceGraph", "Subscriptions", "Vaults", "DiagnosticSettings" and "Workspace"; and "Query".
ARM = "@arm"
LOGS = "@logs"

KINDS = frozenset(
    {
        "throttled",  # 429, with Retry-After when `retry_after` is set
        "rbac",  # 403 ForbiddenByRbac
        "access-policy",  # 403 AccessDenied
        "firewall",  # 403 ForbiddenByFirewall
        "private-link",  # 403 ForbiddenByConnection
        "policy",  # 403 ForbiddenByPolicy
        "server",  # 500 or 503, see `status`
        "slow",  # the right answer, after `seconds`
        "reset",  # the connection breaks before Azure sees the request
        "lost",  # Azure answers and logs it, and the connection breaks on the way back
        "truncated",  # 200, and a JSON body that stops early
        "dns",  # the host name cannot be resolved
        "html",  # 200 with a proxy's HTML page
        "loop",  # a list whose nextLink never ends
    }
)


class NetworkError(Exception):
    """No answer comes at all. `kind` is "dns", "reset" or "refused"; a door turns it into its client's exception."""

    def __init__(self, kind: str, host: str) -> None:
        super().__init__(f"{kind}: {host}")
        self.kind = kind
        self.host = host


@dataclass(frozen=True)
class Fault:
    """One fault of one vault; see KINDS.

    `times` limits it to that many calls; `operations` (such as {"SecretGet"}) limits it to these. "dns" and "reset"
    come before a caller is known, so a challenge meets them too.
    """

    kind: str
    retry_after: int | None = None
    status: int = 500
    seconds: float = 0.0
    times: int | None = None
    operations: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"{self.kind!r} is not a fault; these are: {', '.join(sorted(KINDS))}.")
        object.__setattr__(self, "operations", frozenset(self.operations))


class Faults:
    """The faults that are on, by vault; one vault may have several, the first that fits an operation wins."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._on: dict[str, list[tuple[Fault, int | None]]] = {}

    def set(self, vault_name: str, *faults: Fault) -> None:
        """Switch these faults on for the vault, instead of those that were on."""
        with self._lock:
            self._on[vault_name.lower()] = [(fault, fault.times) for fault in faults]

    def clear(self, vault_name: str | None = None) -> None:
        """Switch the vault's faults off; without a name, everybody's."""
        with self._lock:
            names: Iterable[str] = [vault_name.lower()] if vault_name else list(self._on)
            for name in names:
                self._on.pop(name, None)

    def take(self, vault_name: str, operation: str, kinds: frozenset[str] = KINDS) -> Fault | None:
        """The fault of these `kinds` that this call meets, counted off when it is limited; None when there is none."""
        with self._lock:
            entries = self._on.get(vault_name.lower())
            return _first(entries, operation, kinds) if entries else None


def _first(entries: list[tuple[Fault, int | None]], operation: str, kinds: frozenset[str]) -> Fault | None:
    for position, (fault, left) in enumerate(entries):
        fits = not fault.operations or operation in fault.operations
        if left != 0 and fits and fault.kind in kinds:
            entries[position] = (fault, None if left is None else left - 1)
            return fault
    return None
