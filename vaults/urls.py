"""Home, vaults, secrets, search, people and roles: mounted at / by kvadmin/urls.py."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path, re_path, register_converter
from django.urls.converters import StringConverter

from vaults.views import (
    access,
    archives,
    ask,
    break_glass,
    bulk,
    certificates,
    compare,
    copying,
    deleted,
    exports,
    generator,
    home,
    imports,
    keys,
    people,
    policies,
    requests,
    restores,
    reveal,
    roles,
    rotation,
    search,
    secrets,
    sessions,
    steering,
    sync,
    vaults,
    versions,
    warnings,
    why,
    writing,
)


class NameConverter(StringConverter):
    """A name that Azure allows, in any casing. Nothing else ever reaches a view, let alone the database."""

    regex = "[0-9A-Za-z-]{1,127}"


register_converter(NameConverter, "name")
urlpatterns: list[URLPattern | URLResolver] = [
    path("", home.home, name="home"),
    path("search/", search.search, name="search"),
    path("search/export/", exports.found, name="search-export"),
    path("sync/", sync.sync, name="sync"),
    path("generate/", generator.generate, name="generate"),
    path("bulk/", bulk.bulk, name="bulk"),
    path("bulk/<int:pk>/", bulk.batch, name="batch"),
    *(path(f"bulk/<int:pk>/{verb}/", bulk.act, {"verb": verb}, f"{verb}-batch") for verb in steering.VERBS),
    path("rotation/", rotation.board, name="rotation"),
    path("register-vault/", vaults.register, name="register-vault"),
    path("warnings/", warnings.warning_list, name="warnings"),
    path("vaults/", vaults.vault_list, name="vaults"),
    path("vaults/<name:vault>/", vaults.vault, name="vault"),
    path("vaults/<name:vault>/access/", access.access, name="access"),
    path("vaults/<name:vault>/export/", exports.vault, name="vault-export"),
    path("vaults/<name:vault>/import/", imports.import_values, name="import"),
    path("vaults/<name:vault>/secrets/<name:secret>/", secrets.secret, name="secret"),
    path("vaults/<name:vault>/secrets/<name:secret>/versions/", secrets.versions, name="versions"),
    path("vaults/<name:vault>/secrets/<name:secret>/reveal/", reveal.reveal, name="reveal"),
    path("vaults/<name:vault>/secrets/<name:secret>/ask/", ask.ask, name="ask"),
    path("vaults/<name:vault>/new-secret/", writing.new_secret, name="new-secret"),
    path("vaults/<name:vault>/secrets/<name:secret>/set/", writing.set_secret, name="set"),
    path("vaults/<name:vault>/secrets/<name:secret>/update/", versions.update, name="update"),
    path("vaults/<name:vault>/secrets/<name:secret>/roll-back/", versions.roll_back, name="roll-back"),
    path("vaults/<name:vault>/secrets/<name:secret>/rotate/", rotation.rotate, name="rotate"),
    *(
        path(f"vaults/<name:vault>/secrets/<name:secret>/rotate/{verb}/", rotation.rotate_act, {"verb": verb}, verb)
        for verb in rotation.VERBS
    ),
    path("vaults/<name:vault>/secrets/<name:secret>/watch/", rotation.watch, name="watch"),
    path("vaults/<name:vault>/secrets/<name:secret>/delete/", deleted.delete, name="delete"),
    path("vaults/<name:vault>/deleted/", deleted.vault_deleted, name="vault-deleted"),
    path("vaults/<name:vault>/deleted/<name:secret>/recover/", deleted.recover, name="recover"),
    path("vaults/<name:vault>/deleted/<name:secret>/purge/", deleted.purge, name="purge"),
    path("deleted/", deleted.deleted, name="deleted"),
    path("vaults/<name:vault>/keys/", keys.key_list, name="keys"),
    path("vaults/<name:vault>/keys/<name:key>/", keys.key, name="key"),
    path("vaults/<name:vault>/keys/<name:key>/versions/", keys.versions, name="key-versions"),
    path("vaults/<name:vault>/certificates/", certificates.certificate_list, name="certificates"),
    path("vaults/<name:vault>/certificates/<name:certificate>/", certificates.certificate, name="certificate"),
    path(
        "vaults/<name:vault>/certificates/<name:certificate>/versions/",
        certificates.versions,
        name="certificate-versions",
    ),
    path("vaults/<name:vault>/backup/", archives.backup, name="backup"),
    path("compare/", compare.compare, name="compare"),
    path("compare/export/", compare.export, name="compare-export"),
    path("compare/values/", compare.values, name="compare-values"),
    path("vaults/<name:vault>/secrets/<name:secret>/copy/", copying.copy, name="copy"),
    path("archives/", archives.archive_list, name="archives"),
    path("archives/<int:pk>/", archives.archive, name="archive"),
    path("archives/<int:pk>/download/", archives.download, name="download-archive"),
    *(path(f"archives/<int:pk>/{verb}/", archives.act, {"verb": verb}, f"{verb}-archive") for verb in archives.VERBS),
    path("vaults/<name:vault>/restore/", restores.restore, name="restore"),
    path("restores/<int:pk>/", restores.upload, name="restore-upload"),
    path("restores/<int:pk>/start/", restores.start, name="start-restore"),
    *(path(f"restores/<int:pk>/{verb}/", restores.act, {"verb": verb}, f"{verb}-restore") for verb in steering.VERBS),
    path("vaults/<name:vault>/secrets/<name:secret>/break-glass/", break_glass.break_glass, name="break-glass"),
    # Only with the slash at its end, so that an address without one is still led to the page that it means.
    re_path(r"^vaults/(?P<rest>.+)/$", vaults.no_such_name),
    path("requests/", requests.request_list, name="requests"),
    path("requests/approve/", requests.approve_many, name="approve-requests"),
    path("requests/<int:pk>/", requests.request_page, name="request"),
    *(path(f"requests/<int:pk>/{verb}/", requests.act, {"verb": verb}, f"{verb}-request") for verb in requests.ACTS),
    path("why/", why.why, name="why"),
    path("people/", people.people, name="people"),
    path("people/<int:person_id>/", people.person, name="person"),
    path("people/<int:person_id>/end-access/", people.end_access, name="end-access"),
    path("people/<int:person_id>/sessions/", sessions.person_sessions, name="person-sessions"),
    path("sessions/", sessions.session_list, name="sessions"),
    path("sessions/end/", sessions.end_sessions, name="end-sessions"),
    path("roles/", roles.role_list, name="roles"),
    path("roles/assign/", roles.assign_role, name="assign-role"),
    path("roles/<int:assignment_id>/end/", roles.end_role, name="end-role"),
    path("policies/", policies.policy_list, name="policies"),
    path("policies/<int:policy_id>/end/", policies.end_policy, name="end-policy"),
]
