"""Second factors. Most names are django-allauth's, which leads to its pages by them."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from kvadmin.second_factors import views

urlpatterns: list[URLPattern | URLResolver] = [
    path("sign-in/second-factor/", views.Authenticate.as_view(), name="mfa_authenticate"),
    path("second-factors/", views.index, name="second-factors"),
    path("second-factors/", views.index, name="mfa_index"),
    path("second-factors/app/", views.ActivateApp.as_view(), name="mfa_activate_totp"),
    path("second-factors/app/remove/", views.RemoveApp.as_view(), name="mfa_deactivate_totp"),
    path("second-factors/keys/add/", views.AddKey.as_view(), name="mfa_add_webauthn"),
    path("second-factors/keys/<int:pk>/remove/", views.RemoveKey.as_view(), name="mfa_remove_webauthn"),
    path("second-factors/codes/", views.Codes.as_view(), name="mfa_view_recovery_codes"),
    path("second-factors/codes/new/", views.NewCodes.as_view(), name="mfa_generate_recovery_codes"),
]
