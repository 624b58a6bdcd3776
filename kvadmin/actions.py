"""The vocabulary: every act has one word, used for the permission, the ledger row, the README table and the test id."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Action:
    """One act: its word, what a person reads, Azure's data action, and the operation Azure's log shows for it."""

    word: str
    label: str
    data_action: str = ""
    operation: str = ""

    def __str__(self) -> str:
        return self.word


_ACTIONS: dict[str, Action] = {}
_SECRETS = "Microsoft.KeyVault/vaults/secrets"


def _add(word: str, label: str, data_action: str = "", operation: str = "") -> Action:
    action = Action(word, label, f"{_SECRETS}/{data_action}" if data_action else "", operation)
    _ACTIONS[word] = action
    return action


VAULT_LIST = _add("vault:list", "See vaults")
VAULT_SYNC = _add("vault:sync", "Refresh the inventory")
SECRET_LIST = _add("secret:list", "See secrets without their values", "readMetadata/action", "SecretList")
SECRET_REQUEST = _add("secret:request", "Ask to see a value")
SECRET_REVEAL = _add("secret:reveal", "See a value", "getSecret/action", "SecretGet")
SECRET_BREAK_GLASS = _add("secret:break-glass", "See a value in an emergency", "getSecret/action", "SecretGet")
REQUEST_APPROVE = _add("request:approve", "Decide a request")
REQUEST_REVOKE = _add("request:revoke", "Take a grant back")
SECRET_SET = _add("secret:set", "Write a new version", "setSecret/action", "SecretSet")
SECRET_UPDATE = _add("secret:update", "Change properties", "update/action", "SecretUpdate")
SECRET_DELETE = _add("secret:delete", "Delete a secret", "delete", "SecretDelete")
SECRET_RECOVER = _add("secret:recover", "Recover a deleted secret", "recover/action", "SecretRecover")
SECRET_PURGE = _add("secret:purge", "Purge a deleted secret", "purge/action", "SecretPurge")
SECRET_BACKUP = _add("secret:backup", "Back up a secret", "backup/action", "SecretBackup")
SECRET_RESTORE = _add("secret:restore", "Restore a backup", "restore/action", "SecretRestore")
SECRET_COMPARE = _add("secret:compare", "Compare values, yes or no", "getSecret/action", "SecretGet")
SECRET_COPY = _add("secret:copy", "Copy a value without seeing it", "getSecret/action", "SecretGet")
AUDIT_READ = _add("audit:read", "Read the audit pages")
AUDIT_EXPORT = _add("audit:export", "Export audit rows")
LEDGER_VERIFY = _add("ledger:verify", "Verify the ledger's chain")
ROLE_ASSIGN = _add("role:assign", "Assign and end roles")
POLICY_EDIT = _add("policy:edit", "Edit reveal policies")
SESSION_REVOKE = _add("session:revoke", "End a person's sessions")

ACTIONS: dict[str, Action] = dict(_ACTIONS)
# Acts for which kvadmin reads a value and shows it to nobody; by their words. A roll-back writes an old value anew.
UNSEEN = frozenset(action.word for action in (SECRET_BACKUP, SECRET_COMPARE, SECRET_COPY, SECRET_SET))
