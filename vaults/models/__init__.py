"""What there is, and who may do what. No column of any model can hold a secret value."""

from vaults.models.archive import Archive, Upload
from vaults.models.batch import Batch, BatchItem
from vaults.models.deleted import DeletedSecret, Turn
from vaults.models.described import AccessState, AzureAccess, VaultDetail, VaultWarning
from vaults.models.person import Person
from vaults.models.policy import RevealPolicy
from vaults.models.request import CLOSED, OPEN, RevealRequest, State, Vote
from vaults.models.role import Role, RoleAssignment
from vaults.models.rotation import ExpiryWatch, ReminderSent, Rotation, RotationLine
from vaults.models.scope import Scoped, ScopeKind
from vaults.models.secret import Secret
from vaults.models.session import Session
from vaults.models.sync import SyncRun
from vaults.models.vault import Health, LogState, Subscription, Vault

__all__ = [
    "CLOSED",
    "OPEN",
    "AccessState",
    "Archive",
    "AzureAccess",
    "Batch",
    "BatchItem",
    "DeletedSecret",
    "ExpiryWatch",
    "Health",
    "LogState",
    "Person",
    "ReminderSent",
    "RevealPolicy",
    "RevealRequest",
    "Role",
    "RoleAssignment",
    "Rotation",
    "RotationLine",
    "ScopeKind",
    "Scoped",
    "Secret",
    "Session",
    "State",
    "Subscription",
    "SyncRun",
    "Turn",
    "Upload",
    "Vault",
    "VaultDetail",
    "VaultWarning",
    "Vote",
]
