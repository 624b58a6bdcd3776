"""Pages for second factors: one's own, and the step of the sign-in that asks for one.

The views are django-allauth's. What they add here: a wrong form is a 422, adding or removing asks for a fresh sign-in,
and only local accounts have any.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from allauth.mfa.base.views import AuthenticateView
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.views import GenerateRecoveryCodesView, ViewRecoveryCodesView
from allauth.mfa.totp.views import ActivateTOTPView, DeactivateTOTPView
from allauth.mfa.webauthn.views import AddWebAuthnView, RemoveWebAuthnView
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import ValidationError
from django.db import transaction
from django.forms import Form
from django.http import Http404, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse, reverse_lazy
from django.utils.decorators import method_decorator
from django.utils.safestring import mark_safe
from django.views.decorators.http import require_safe

from kvadmin import second_factors
from kvadmin.http import Request
from kvadmin.second_factors.adapter import MFAAdapter
from vaults import step_up, turns
from vaults.views.roles import signed_in

FRESH_MINUTES = 10
INDEX = reverse_lazy("second-factors")


@require_safe
def index(request: Request) -> HttpResponse:
    """One's own second factors, and what can be added."""
    person = signed_in(request)
    held = list(Authenticator.objects.filter(user=person).order_by("id"))
    app = next((one for one in held if one.type == Authenticator.Type.TOTP), None)
    codes = next((one for one in held if one.type == Authenticator.Type.RECOVERY_CODES), None)
    context = {
        "is_local": second_factors.is_local(person),
        "app": app,
        "keys": [one.wrap() for one in held if one.type == Authenticator.Type.WEBAUTHN],
        "codes": codes,
        "codes_left": len(codes.wrap().get_unused_codes()) if codes else 0,
        "required": settings.KVADMIN_REQUIRE_SECOND_FACTOR,
        "missing": second_factors.is_missing(request),
    }
    return render(request, "second_factors/index.html", context)


def _eased(form: Form, *, first: bool) -> None:
    """A code is typed on a keyboard of digits, at once where the page is for it. Its label is no hint as well."""
    attributes = form.fields["code"].widget.attrs
    attributes.pop("placeholder", None)
    attributes |= {"inputmode": "numeric"} | ({"autofocus": True} if first else {})


class _Own:
    """A view for the owner of a local account, who has just signed in."""

    def dispatch(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not second_factors.is_local(signed_in(request)):
            raise Http404
        if not step_up.is_fresh(request, FRESH_MINUTES):
            messages.info(request, step_up.sentence(FRESH_MINUTES))
            return redirect(f"{reverse('sign-in-again')}?{urlencode({'next': request.get_full_path()})}")
        answer: HttpResponseBase = super().dispatch(request, *args, **kwargs)  # type: ignore[misc] # a mixin
        return answer

    def form_invalid(self, form: Form) -> HttpResponse:
        answer: HttpResponse = super().form_invalid(form)  # type: ignore[misc] # a mixin
        answer.status_code = 422
        return answer


class _Removal(_Own):
    """A view that removes one, which may be the last. Two that are sent at once would each count the other's."""

    def post(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        with transaction.atomic():
            turns.of_person(signed_in(request).pk)
            answer: HttpResponse = super().post(request, *args, **kwargs)  # type: ignore[misc] # a mixin
        return answer


class ActivateApp(_Own, ActivateTOTPView):  # type: ignore[misc] # allauth ships no types
    template_name = "second_factors/app.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**kwargs)
        # Drawn by us, as shapes: nothing in it comes from outside. The XML's first line has no place within a page.
        svg = context["totp_svg"].partition("?>")[2]
        _eased(context["form"], first=bool(context["form"].errors))
        return context | {"svg": mark_safe(svg)}  # noqa: S308 - see above

    def get_success_url(self) -> str:
        return _codes_or_index(made=self.did_generate_recovery_codes)


class RemoveApp(_Removal, DeactivateTOTPView):  # type: ignore[misc] # allauth ships no types
    template_name = "second_factors/remove.html"
    success_url = INDEX

    def get_form_kwargs(self) -> dict[str, Any]:
        kwargs: dict[str, Any] = super().get_form_kwargs()
        if self.request.method != "POST":
            kwargs.pop("data", None)  # nothing was sent yet, so nothing is wrong yet
        return kwargs

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**kwargs)
        return context | {"what": "the authenticator app"}

    def form_valid(self, form: Form) -> HttpResponse:
        second_factors.look_again(self.request)
        answer: HttpResponse = super().form_valid(form)
        return answer


class AddKey(_Own, AddWebAuthnView):  # type: ignore[misc] # allauth ships no types
    template_name = "second_factors/key.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**kwargs)
        form = kwargs.get("form") or self.get_form()  # allauth leaves the wrong form out
        return context | {"form": form, "options": json.dumps(context["js_data"]["creation_options"]["publicKey"])}

    def get_success_url(self) -> str:
        return _codes_or_index(made=self.did_generate_recovery_codes)


class RemoveKey(_Removal, RemoveWebAuthnView):  # type: ignore[misc] # allauth ships no types
    template_name = "second_factors/remove.html"
    success_url = INDEX

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**kwargs)
        return context | {"what": f"the security key {self.object.wrap().name}"}

    def form_valid(self, form: Form) -> HttpResponse:
        adapter = MFAAdapter()
        if not adapter.can_delete_authenticator(self.get_object()):
            form.add_error(None, ValidationError(adapter.error_messages["cannot_delete_authenticator"]))
            return self.form_invalid(form)
        second_factors.look_again(self.request)
        answer: HttpResponse = super().form_valid(form)
        return answer


class Codes(_Own, ViewRecoveryCodesView):  # type: ignore[misc] # allauth ships no types
    """The recovery codes, shown once: for the asking (POST), so that no browser that looks ahead uses that up."""

    template_name = "second_factors/codes.html"

    def get(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        held = Authenticator.objects.filter(user=signed_in(request), type=Authenticator.Type.RECOVERY_CODES).first()
        if held is None:
            raise Http404
        return render(request, self.template_name, {"waiting": not held.wrap().did_view})

    def post(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        answer: HttpResponse = super().get(request, *args, **kwargs)
        return answer


class NewCodes(_Own, GenerateRecoveryCodesView):  # type: ignore[misc] # allauth ships no types
    template_name = "second_factors/new_codes.html"


def _codes_or_index(*, made: bool) -> str:
    return reverse("mfa_view_recovery_codes") if made else reverse("second-factors")


@method_decorator(login_not_required, name="dispatch")
class Authenticate(AuthenticateView):  # type: ignore[misc] # allauth ships no types
    """The second step of a sign-in. Only a browser that has just given the right password gets here."""

    template_name = "second_factors/authenticate.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**kwargs)
        held = set(Authenticator.objects.filter(user=self.stage.login.user).values_list("type", flat=True))
        options = context["js_data"]["request_options"]["publicKey"] if Authenticator.Type.WEBAUTHN in held else None
        _eased(context["form"], first=not options or bool(context["form"].errors))
        return context | {"options": json.dumps(options) if options else "", "person": self.stage.login.user}

    def form_invalid(self, form: Form) -> HttpResponse:
        answer: HttpResponse = super().form_invalid(form)
        answer.status_code = 422
        return answer
