"""Roles, and who holds which where."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import models
from django.db.models import Q
from django.utils import timezone

from kvadmin import actions as a
from vaults.models.scope import Scoped


class Role(models.TextChoices):
    """kvadmin's roles, named after Azure's own. Duties are separate: an Administrator neither reveals nor audits."""

    READER = "reader", "Reader"
    SECRETS_USER = "secrets-user", "Secrets User"
    APPROVER = "approver", "Approver"
    SECRETS_OFFICER = "secrets-officer", "Secrets Officer"
    PURGE_OPERATOR = "purge-operator", "Purge Operator"
    BREAK_GLASS_HOLDER = "break-glass-holder", "Break-glass Holder"
    AUDITOR = "auditor", "Auditor"
    ADMINISTRATOR = "administrator", "Administrator"


_READER = frozenset({a.VAULT_LIST, a.SECRET_LIST, a.SECRET_REQUEST})
ROLE_ACTIONS: dict[str, frozenset[a.Action]] = {
    Role.READER: _READER,
    Role.SECRETS_USER: _READER | {a.SECRET_REVEAL},
    Role.APPROVER: _READER | {a.REQUEST_APPROVE, a.REQUEST_REVOKE},
    Role.SECRETS_OFFICER: _READER
    | {a.SECRET_SET, a.SECRET_UPDATE, a.SECRET_DELETE, a.SECRET_RECOVER}
    | {a.SECRET_BACKUP, a.SECRET_RESTORE, a.SECRET_COMPARE, a.SECRET_COPY},
    Role.PURGE_OPERATOR: _READER | {a.SECRET_PURGE},
    Role.BREAK_GLASS_HOLDER: _READER | {a.SECRET_BREAK_GLASS},
    Role.AUDITOR: _READER | {a.AUDIT_READ, a.AUDIT_EXPORT, a.LEDGER_VERIFY},
    Role.ADMINISTRATOR: frozenset({a.ROLE_ASSIGN, a.POLICY_EDIT, a.VAULT_SYNC, a.SESSION_REVOKE}),
}


class RoleAssignmentQuerySet(models.QuerySet["RoleAssignment"]):
    def in_force(self) -> RoleAssignmentQuerySet:
        """Assignments that hold at this moment."""
        now = timezone.now()
        return self.filter(ended_at=None).filter(Q(ends_at=None) | Q(ends_at__gt=now))


class RoleAssignment(Scoped):
    """(person or group) x role x scope, with an optional end. Never deleted: an ended one stays as history."""

    role = models.CharField(max_length=30, choices=Role)
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="role_assignments"
    )
    group = models.ForeignKey(Group, on_delete=models.PROTECT, null=True, blank=True, related_name="role_assignments")
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    ends_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True)
    ended_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")

    objects = RoleAssignmentQuerySet.as_manager()

    class Meta(Scoped.Meta):
        abstract = False
        constraints = [
            *Scoped.Meta.constraints,
            models.CheckConstraint(
                name="role_for_a_person_or_a_group",
                condition=Q(person__isnull=False, group=None) | Q(person=None, group__isnull=False),
            ),
            models.CheckConstraint(
                name="break_glass_is_for_people",
                condition=~Q(role="break-glass-holder") | Q(person__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_role_display()} on {self.scope_text}"

    @property
    def actions(self) -> frozenset[a.Action]:
        return ROLE_ACTIONS.get(self.role, frozenset())

    @property
    def holder(self) -> str:
        return str(self.person) if self.person else f"group {self.group}"
