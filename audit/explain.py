"""Evidence in plain words: why a row of Azure's log stands on its list, and whether the ledger's chain holds."""

from __future__ import annotations

from audit.chains import Chain
from audit.checkpoints import Mismatch
from audit.models import AccessEvent
from kvadmin import actions as a

Match, MatchedBy = AccessEvent.Match, AccessEvent.MatchedBy
# What kvadmin did with the value, by the act's word; any other act showed it.
_DONE = {
    a.SECRET_BACKUP.word: "backed this secret up through kvadmin, all of its versions, and saw no value",
    a.SECRET_COMPARE.word: "had kvadmin compare this value with another one, and was told no more than yes or no",
    a.SECRET_COPY.word: "had kvadmin copy this value, and was not shown it",
    a.SECRET_SET.word: "had kvadmin write this version anew, and was not shown its value",
    a.SECRET_BREAK_GLASS.word: "saw this value through kvadmin in an emergency",
}
_ASKED = {
    a.SECRET_BACKUP.word: "a backup of this secret",
    a.SECRET_COMPARE.word: "a comparison with this value",
    a.SECRET_COPY.word: "a copy of this value",
    a.SECRET_SET.word: "this version to be written anew",
}
UNSORTED = "This read is not sorted yet: whether the ledger explains it is known once the look at the log has ended."
UNTOLD = "Azure does not tell what came of this, so it is taken for a read. "


def explain(event: AccessEvent) -> str:
    """One to three sentences for the reader of the event's page."""
    untold = event.is_read and event.outcome == AccessEvent.Outcome.UNKNOWN
    return f"{UNTOLD if untold else ''}{_explain(event)}"


def _explain(event: AccessEvent) -> str:
    if event.match == Match.EXPLAINED:
        return _explained(event)
    if event.match == Match.AROUND:
        return "An identity other than kvadmin's own read this value. kvadmin was not asked, and does not know why."
    if event.match == Match.UNEXPLAINED:
        return _unexplained(event)
    return UNSORTED if event.is_read else _no_read(event)


def _explained(event: AccessEvent) -> str:
    if event.matched_by == MatchedBy.REQUEST_ID:
        return (
            f"{event.person} {_DONE.get(event.action, 'saw this value through kvadmin')}. Azure logged the read under "
            "the request id that it told kvadmin, and the ledger keeps that id: it is the same request."
        )
    return (
        f"{event.person} asked for {_ASKED.get(event.action, 'this value')} through kvadmin, but Azure's answer was "
        "lost, so the ledger holds no request id. Identity, vault, secret, minute and the act's id in the User-Agent "
        "all agree with the intent in the ledger."
    )


def _unexplained(event: AccessEvent) -> str:
    said = (
        "kvadmin's own identity read this value, and the ledger holds nothing that explains it. Somebody else may hold "
        "kvadmin's credential: change it, and rotate this secret."
    )
    if event.reveal_id:
        said += " Its User-Agent names an act that this read does not match: a User-Agent can be copied."
    return said


def _no_read(event: AccessEvent) -> str:
    if event.ledger_act:
        did = "did" if event.outcome == AccessEvent.Outcome.OK else "tried"
        return f"{event.person} {did} this through kvadmin. No value left the vault."
    if event.operation == "Authentication" and event.is_noise:
        return "The first request of a client, before it showed who it is. It was answered by a success within seconds."
    if event.operation == "Authentication":
        return "Somebody called without showing who they are, and did not come back with a token."
    return "No value left the vault with this request."


def explain_chain(chain: Chain) -> str:
    """What verifying the ledger found, in one sentence."""
    rows = f"{chain.rows:,} row{'s' if chain.rows != 1 else ''}"
    if chain.intact:
        return f"The chain holds: {rows}, none changed, none missing."
    return f"The chain is broken at row {chain.first_bad:,}: {chain.why}. Sound before it: {rows}."


def explain_mismatch(found: Mismatch) -> str:
    """Which checkpoint the ledger no longer agrees with, in one sentence."""
    made = found.checkpoint
    return f"The checkpoint of row {made.seq:,}, made at {made.at}, no longer matches: {found.why}."
