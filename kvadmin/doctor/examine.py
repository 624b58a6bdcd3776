"""All examinations, in the order in which one leads to the next."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from django.db import DatabaseError, InterfaceError

from kvadmin.doctor import azure, house
from kvadmin.doctor.results import Lines, Result, Seen, by_error, off, wrong
from kvadmin.gateway.errors import GatewayError

EXAMINATIONS: dict[str, Callable[[Seen], Lines]] = {
    "settings": house.system_checks,
    "credential": azure.credential,
    "clock": azure.clock,
    "resource manager": azure.resource_manager,
    "vault": azure.vault,
    "role assignments": azure.role_assignments,
    "diagnostic settings": azure.diagnostic_settings,
    "access log": azure.workspaces,
    "database": house.database,
    "cache": house.shared_cache,
    "worker": house.worker,
    "mail": house.mail,
    "notices": house.notices,
    "sign-in": house.sign_in,
    "app registration": house.app_registration,
}
# Without a sign-in each of them would wait for the same failure again.
NEED_A_SIGN_IN = frozenset(
    {"clock", "resource manager", "vault", "role assignments", "diagnostic settings", "access log"}
)


def examine(seen: Seen) -> Iterator[tuple[str, Result]]:
    """Each line with its examination's name, as soon as it is known. One that fails stops no other."""
    for name, examination in EXAMINATIONS.items():
        if name in NEED_A_SIGN_IN and not seen.signed_in:
            yield name, off("Not examined: kvadmin cannot sign in to Azure.")
            continue
        try:
            for result in examination(seen):
                yield name, result
        except GatewayError as error:
            yield name, by_error(error)
        except (DatabaseError, InterfaceError) as error:  # its text may quote the address
            yield name, wrong(f"The database does not answer as it should ({type(error).__name__}). See DATABASE_URL.")
