"""Home, vaults, secrets, search, people and roles: mounted at / by kvadmin/urls.py."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from vaults.views import people, policies, reveal, roles

urlpatterns: list[URLPattern | URLResolver] = [
    path("vaults/<str:vault>/secrets/<str:secret>/reveal/", reveal.reveal, name="reveal"),
    path("people/", people.people, name="people"),
    path("people/<int:person_id>/", people.person, name="person"),
    path("roles/", roles.role_list, name="roles"),
    path("roles/assign/", roles.assign_role, name="assign-role"),
    path("roles/<int:assignment_id>/end/", roles.end_role, name="end-role"),
    path("policies/", policies.policy_list, name="policies"),
    path("policies/<int:policy_id>/end/", policies.end_policy, name="end-policy"),
]
