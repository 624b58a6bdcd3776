"""What every answer tells the browser, how much a request may carry, and what a deployment is checked for."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urljoin

import pytest
from django.conf import settings as configured
from django.core.files.base import ContentFile
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import Resolver404, path, resolve

from kvadmin.http import takes_files
from kvadmin.urls import handler400, handler403, handler404, handler500
from kvadmin.urls import urlpatterns as real_urls
from tests.processes import environment, python
from vaults.models import Person

__all__ = ["handler400", "handler403", "handler404", "handler500"]  # read by Django, as of any URL file
HTMX = {"HX-Request": "true"}
KEEPS_APART = {
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "base-uri 'none'; connect-src 'self'; default-src 'none'; font-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; img-src 'self'; script-src 'self'; style-src 'self'",
    "Permissions-Policy": "accelerometer=(), autoplay=(), camera=(), clipboard-write=(self), cross-origin-isolated=(), "
    "display-capture=(), encrypted-media=(), fullscreen=(), geolocation=(), gyroscope=(), hid=(), idle-detection=(), "
    "keyboard-map=(), magnetometer=(), microphone=(), midi=(), payment=(), picture-in-picture=(), "
    "publickey-credentials-create=(self), publickey-credentials-get=(self), screen-wake-lock=(), serial=(), "
    "sync-xhr=(), usb=(), xr-spatial-tracking=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains; preload",
    "X-Frame-Options": "DENY",
}
# What even an answer has that was refused before Django's own middleware could say anything.
FIRST = {
    name: KEEPS_APART[name]
    for name in (
        "Content-Security-Policy", "Cross-Origin-Embedder-Policy", "Cross-Origin-Resource-Policy", "Permissions-Policy"
    )
}  # fmt: skip
STORES_NOTHING = {"Cache-Control": "max-age=0, no-cache, no-store, must-revalidate, private"}


def _echo(request: HttpRequest) -> HttpResponse:
    files = {name: file.read().decode() for name, file in request.FILES.items()}
    return HttpResponse(f"{len(request.POST.get('text', ''))} {files}")


@takes_files
def _count(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(len(request.read())))


def told(answer: HttpResponse, names: Iterable[str]) -> dict[str, str | None]:
    """The headers of these names, with the parts of the content policy in order: django-csp gives them in any."""
    found = {name: answer.headers.get(name) for name in names}
    parts = sorted((found.get("Content-Security-Policy") or "").split("; "))
    return found | {"Content-Security-Policy": "; ".join(parts)}


urlpatterns = [path("plain/", _echo), path("with-files/", _count), *real_urls]
own_pages = pytest.mark.urls(__name__)


@pytest.fixture
def over_https(settings) -> Client:
    """A browser of a deployment with HTTPS."""
    settings.SECURE_HSTS_SECONDS = 31_536_000
    settings.SECURE_HSTS_INCLUDE_SUBDOMAINS = settings.SECURE_HSTS_PRELOAD = True
    settings.SECURE_SSL_REDIRECT = True
    settings.WHITENOISE_USE_FINDERS = True
    return Client(raise_request_exception=False)


# --- Headers ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("where", "status", "headers"),
    [
        ("/help/", 200, KEEPS_APART | STORES_NOTHING),
        ("/sign-in/", 200, KEEPS_APART | STORES_NOTHING),
        ("/no-such-page/", 404, KEEPS_APART | STORES_NOTHING),
        ("/roles/", 403, KEEPS_APART | STORES_NOTHING),
        ("/help", 301, KEEPS_APART | STORES_NOTHING),
        ("/healthz", 200, KEEPS_APART | STORES_NOTHING),
        ("/static/logo.svg", 200, KEEPS_APART | {"Cache-Control": "max-age=60, public"}),
    ],
)
def test_every_kind_of_answer_keeps_other_sites_out(
    over_https: Client, nobody: Person, where: str, status: int, headers: dict[str, str]
) -> None:
    if where != "/sign-in/":
        over_https.force_login(nobody)

    answer = over_https.get(where, secure=True)
    answer.close()

    assert answer.status_code == status
    assert told(answer, headers) == headers


def test_a_request_by_plain_http_is_led_to_https_and_kept_apart_as_well(over_https: Client) -> None:
    answer = over_https.get("/help/?q=1")

    assert (answer.status_code, answer["Location"]) == (301, "https://testserver/help/?q=1")
    assert told(answer, FIRST) == FIRST


def test_a_host_that_is_not_ours_gets_an_answer_that_is_kept_apart_too(over_https: Client) -> None:
    answer = over_https.get("/help/", headers={"Host": "evil.example"})

    assert answer.status_code == 400
    assert b"evil.example" not in answer.content
    assert told(answer, FIRST) == FIRST


@pytest.mark.parametrize("header", ["X-Forwarded-Host", "Forwarded"])
def test_a_host_that_a_stranger_writes_into_a_proxys_header_counts_for_nothing(over_https: Client, header: str) -> None:
    answer = over_https.get("/help/", headers={header: "host=evil.example"})

    assert answer["Location"] == "https://testserver/help/"


def test_cookies_are_for_this_host_and_its_server_alone(over_https: Client, reader: Person, settings) -> None:
    settings.SESSION_COOKIE_SECURE = True

    over_https.post("/sign-in/", {"login": "reader", "password": "pw", "next": "/"}, secure=True)

    cookie = over_https.cookies["kvadmin"]
    assert (cookie["httponly"], cookie["secure"], cookie["samesite"], cookie["domain"]) == (True, True, "Lax", "")
    assert cookie["max-age"] == ""  # gone with the browser


# --- Where a sign-in leads -------------------------------------------------------------------------------------------
ELSEWHERE = (
    "https://evil.example/", "http://evil.example/", "//evil.example", "///evil.example", "////evil.example/",
    "/\\evil.example", "\\\\evil.example", "/\t/evil.example", "/\n/evil.example", " //evil.example",
    "https:evil.example", "https:/evil.example", "https:///evil.example", "https://testserver@evil.example/",
    "https://testserver.evil.example/", "https://evil.example\\@testserver/", "https://evil.example#@testserver/",
    "http://testserver:80@evil.example/", "//evil.example/%2f..", "%2f%2fevil.example@", "javascript:alert(1)",
    "JaVaScRiPt:alert(1)", "java\tscript:alert(1)", "data:text/html,x", "vbscript:x", "ftp://testserver/", "\x00",
    "https://testserver:444/", "http://[::1", "https://\u202etestserver/", "//google%E3%80%82com", "http:///x",
)  # fmt: skip


@pytest.mark.parametrize("target", ELSEWHERE)
@pytest.mark.parametrize("door", ["sign-in", "sign-in/again", "sign-in/demo"])
def test_a_sign_in_leads_to_no_other_place(client: Client, reader: Person, settings, door: str, target: str) -> None:
    settings.KVADMIN_DEMO = True
    if door == "sign-in/again":
        client.force_login(reader)

    answer = client.post(
        f"/{door}/?next=/help/",
        {"login": "reader", "name": "reader", "password": "pw", "next": target},
    )

    assert answer.status_code == 302
    assert urljoin("http://testserver/sign-in/", answer["Location"]).startswith("http://testserver/")
    assert not answer["Location"].startswith(("//", "/\\"))


# --- Django's own pages ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("where", ["/admin/", "/admin/login/", "/accounts/login/", "/accounts/signup/"])
def test_neither_djangos_admin_nor_a_sign_up_exists(where: str) -> None:
    with pytest.raises(Resolver404):
        resolve(where)
    assert "django.contrib.admin" not in configured.INSTALLED_APPS


# --- How much a request may carry ------------------------------------------------------------------------------------
@own_pages
def test_a_form_as_large_as_the_limit_passes_and_a_byte_more_is_refused_unread(
    client: Client, nobody: Person, settings
) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1024
    client.force_login(nobody)

    fits = client.post("/plain/", "text=" + "x" * 1019, content_type="application/x-www-form-urlencoded")
    over = client.post("/plain/", "text=" + "x" * 1020, content_type="application/x-www-form-urlencoded")

    assert (fits.status_code, fits.content) == (200, b"1019 {}")
    assert over.status_code == 413
    assert "This is too much for one request: it takes 1 KB at most. Nothing was changed." in over.content.decode()


@own_pages
def test_a_file_passes_only_where_a_view_takes_files(client: Client, nobody: Person, settings) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1024
    client.force_login(nobody)
    plain = client.post("/plain/", {"upload": ContentFile(b"y" * 2000, "names.csv")}, headers=HTMX)
    taken = client.post("/with-files/", {"upload": "y" * 2000}, content_type="application/json")

    assert (plain.status_code, plain["Content-Type"]) == (413, "text/plain")
    assert taken.content.decode() == "2014"


@own_pages
@pytest.mark.parametrize("kind", ["multipart/form-data; boundary=x", "application/x-www-form-urlencoded"])
def test_no_form_is_larger_for_a_view_that_takes_files(client: Client, settings, kind: str) -> None:
    """Django reads a form into memory before anybody asks whether its sender may do anything here."""
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1024

    assert client.post("/with-files/", b"y" * 2000, content_type=kind).status_code == 413
    assert client.post("/vaults/pay-prod/import/", b"y" * 2000, content_type=kind).status_code == 413


@own_pages
def test_a_file_has_a_limit_of_its_own(client: Client, nobody: Person, settings) -> None:
    settings.FILE_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024
    client.force_login(nobody)

    body = b"x" * (2 * 1024 * 1024 + 1)
    answer = client.post("/with-files/", body, content_type="application/octet-stream", headers=HTMX)

    assert answer.status_code == 413
    assert answer.content == b"This is too much for one request: it takes 2 MB at most. Nothing was changed."


def test_files_never_touch_a_disk() -> None:
    assert configured.FILE_UPLOAD_HANDLERS == ["django.core.files.uploadhandler.MemoryFileUploadHandler"]
    assert (configured.DATA_UPLOAD_MAX_MEMORY_SIZE, configured.FILE_UPLOAD_MAX_MEMORY_SIZE) == (262_144, 10_485_760)


# --- A deployment ----------------------------------------------------------------------------------------------------
def test_djangos_own_check_of_a_deployment_finds_nothing_and_its_cookie_is_no_other_hosts() -> None:
    look = (
        "import django; from django.conf import settings; from django.core.management import call_command; "
        "django.setup(); call_command('check', deploy=True, fail_level='WARNING'); print(settings.SESSION_COOKIE_NAME)"
    )
    process = python(
        "-c", look,
        env=environment(
            DJANGO_SETTINGS_MODULE="kvadmin.settings",
            KVADMIN_DEBUG="false",
            KVADMIN_SECRET_KEY="Xq7v" * 4 + "0123456789abcdefghijklmnopqrstuvwxyz",
            KVADMIN_ALLOWED_HOSTS="kvadmin.example.com",
            KVADMIN_TRUSTED_ORIGINS="https://kvadmin.example.com",
            KVADMIN_BASE_URL="https://kvadmin.example.com",
            KVADMIN_BEHIND_PROXY="true",
            KVADMIN_TRUSTED_PROXIES="1",
            DATABASE_URL="postgres://kvadmin:password@db.example.com/kvadmin",
            CACHE_URL="rediscache://redis.example.com:6379/0",
            WEB_CONCURRENCY="2",
        ),
    )  # fmt: skip

    told, _ = process.communicate()

    assert (process.returncode, told) == (0, "System check identified no issues (0 silenced).\n__Host-kvadmin\n")
