"""Where everything lives. Each app names its own pages."""

from __future__ import annotations

from django.contrib.auth.views import LogoutView
from django.urls import URLPattern, URLResolver, include, path

from kvadmin import probes, views
from kvadmin.entra import views as entra

urlpatterns: list[URLPattern | URLResolver] = [
    path("sign-in/", views.SignIn.as_view(), name="sign-in"),
    path("sign-in/", views.SignIn.as_view(), name="account_login"),  # the name by which allauth leads to it
    path("sign-in/demo/", views.demo_sign_in, name="demo-sign-in"),
    path("sign-in/again/", views.sign_in_again, name="sign-in-again"),
    path("sign-in/entra/", entra.sign_in, name="entra"),
    path("sign-in/entra/callback/", entra.callback, name="entra-callback"),
    path("sign-in/entra/check/", entra.check, name="entra-check"),
    path("", include("kvadmin.second_factors.urls")),
    path("sign-out/", LogoutView.as_view(), name="sign-out"),
    path("help/", views.help_page, name="help"),
    path("healthz", probes.healthz, name="healthz"),
    path("readyz", probes.readyz, name="readyz"),
    path("metrics", probes.metrics, name="metrics"),
    path("audit/", include("audit.urls")),
    path("", include("vaults.urls")),
]
handler400 = "kvadmin.views.bad_request"
handler403 = "kvadmin.views.forbidden"
handler404 = "kvadmin.views.not_found"
handler500 = "kvadmin.views.server_error"
