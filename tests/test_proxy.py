"""Caddy with docs/Caddyfile before the image's web server, where it is installed (Debian: caddy)."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import sqlite3
import ssl
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.test_container import ROOT, Image, free_port, image, web  # noqa: F401 - two are fixtures

CADDY, CADDYFILE = shutil.which("caddy"), ROOT / "docs/Caddyfile"
pytestmark = [
    pytest.mark.enable_socket,
    pytest.mark.skipif(CADDY is None, reason="caddy is not installed: nobody tried docs/Caddyfile"),
]
# Not the ports that need root's right, no try to make this machine trust it, and nothing that steers it.
FOR_TESTS = "{{\n\tadmin off\n\tskip_install_trust\n\thttp_port {http}\n\thttps_port {https}\n"


@dataclass
class Proxy:
    """The proxy, and a browser that trusts it."""

    http: int
    https: int
    folder: Path
    process: subprocess.Popen[bytes]
    browser: requests.Session

    @property
    def url(self) -> str:
        return f"https://localhost:{self.https}"

    def get(self, path: str, **headers: str) -> requests.Response:
        return self.browser.get(self.url + path, headers=headers, allow_redirects=False, timeout=120)

    def post(self, path: str, size: int) -> requests.Response:
        kind = {"Content-Type": "application/x-www-form-urlencoded", "Origin": self.url}
        return self.browser.post(self.url + path, data=b"x" * size, headers=kind, allow_redirects=False, timeout=120)

    def half_a_form(self) -> bytes:
        cookies = "; ".join(f"{one.name}={one.value}" for one in self.browser.cookies)
        lines = (
            "POST /sign-in/ HTTP/1.1", f"Host: localhost:{self.https}", f"Origin: {self.url}", f"Cookie: {cookies}",
            "Content-Type: application/x-www-form-urlencoded", "Content-Length: 1000", "", "login=",
        )  # fmt: skip
        return "\r\n".join(lines).encode()

    def log(self) -> str:
        return (self.folder / "caddy.log").read_text("utf-8")


def caddy(folder: Path, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "XDG_DATA_HOME": str(folder), "SITE": "localhost"}
    return subprocess.Popen([str(CADDY), *arguments], env=env | {"XDG_CONFIG_HOME": str(folder)}, **options)


def file_for_this_caddy(folder: Path) -> str:
    """The file; with the old words for its buffer where Caddy is older than 2.7, as Debian's is."""
    text = CADDYFILE.read_text("utf-8")
    version = caddy(folder, "version", stdout=subprocess.PIPE).communicate()[0].decode()
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:3])
    older = text.replace("request_buffers 512KiB", f"buffer_requests\n\t\tmax_buffer_size {512 * 1024}")
    return text if numbers >= (2, 7) else older


def file_for_tests(folder: Path, server: int, **ports: int) -> str:
    text = file_for_this_caddy(folder).replace("name web", "name localhost").replace("port 8000", f"port {server}")
    made = text.replace("\n{\n", "\n" + FOR_TESTS.format(**ports), 1)
    assert "skip_install_trust" in made  # else Caddy would have this whole machine trust its certificates
    return made


@pytest.fixture
def proxy(web: tuple[subprocess.Popen[str], int], tmp_path: Path) -> Iterator[Proxy]:  # noqa: F811 - a fixture
    ports = {"http": free_port(), "https": free_port()}
    (tmp_path / "Caddyfile").write_text(file_for_tests(tmp_path, web[1], **ports), "utf-8")
    with (tmp_path / "caddy.log").open("wb") as log, requests.Session() as browser:
        process = caddy(tmp_path, "run", "--config", str(tmp_path / "Caddyfile"), stdout=log, stderr=log)
        browser.trust_env, browser.verify = False, str(tmp_path / "caddy/pki/authorities/local/root.crt")
        made = Proxy(**ports, folder=tmp_path, process=process, browser=browser)
        try:
            while not answers(made):
                assert process.poll() is None, made.log()
                time.sleep(0.1)
            yield made
        finally:
            process.terminate()
            process.wait()


def answers(proxy: Proxy) -> bool:
    try:
        return proxy.get("/healthz").ok
    except (OSError, requests.ConnectionError):  # its own certificate is not there yet, or nobody listens
        return False


def test_the_file_is_valid_and_in_caddys_own_form(tmp_path: Path) -> None:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    (tmp_path / "Caddyfile").write_text(file_for_this_caddy(tmp_path), "utf-8")
    orders = (["validate", "--adapter", "caddyfile", "--config", f"{tmp_path}/Caddyfile"], ["fmt", str(CADDYFILE)])
    valid, form = (caddy(tmp_path, *order, **pipes) for order in orders)

    said = valid.communicate()[0].decode()
    assert (valid.returncode, "Valid configuration" in said) == (0, True), said
    assert form.communicate()[0].decode() == CADDYFILE.read_text("utf-8")


def test_where_a_request_comes_from_is_what_the_proxy_sees(image: Image, proxy: Proxy) -> None:  # noqa: F811 - a fixture
    """The sign-in page begins a session, which notes that."""
    forged = {"X-Forwarded-For": "203.0.113.66", "X-Forwarded-Proto": "http", "X-Forwarded-Host": "evil.example"}
    page = proxy.get("/sign-in/", **forged, **{"X-Request-ID": "forged"})

    with contextlib.closing(sqlite3.connect(image.place / "data/kvadmin.sqlite3")) as database:
        addresses = {row[0] for row in database.execute("SELECT address FROM vaults_session ORDER BY used_at")}
    assert page.status_code == 200
    assert "203.0.113.66" not in addresses
    assert addresses & {"127.0.0.1", "::1"}
    assert re.fullmatch(r"[0-9a-f-]{36}", page.headers["X-Request-ID"])
    assert page.headers["Set-Cookie"].startswith("__Host-kvadmin=")


def test_what_comes_without_tls_is_led_to_it_and_numbers_are_for_nobody_outside(proxy: Proxy) -> None:
    plain = requests.get(f"http://localhost:{proxy.http}/sign-in/", allow_redirects=False, timeout=120)

    assert (plain.status_code, plain.headers["Location"].partition(":")[0]) == (308, "https")
    assert proxy.get("/metrics").status_code == 404


def test_static_files_come_compressed_to_be_kept_and_for_no_other_site(proxy: Proxy) -> None:
    (style,) = re.findall(r'href="(/static/kvadmin\.[0-9a-f]{12}\.css)"', proxy.get("/sign-in/").text)
    answer = proxy.get(style, **{"Accept-Encoding": "br", "Origin": "https://elsewhere.example"})

    assert (answer.status_code, answer.headers["Content-Encoding"]) == (200, "br")
    assert answer.headers["Cache-Control"] == "max-age=315360000, public, immutable"
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_a_body_that_is_refused_unread_breaks_nobodys_next_request(proxy: Proxy) -> None:
    """Both go by the one connection that the proxy keeps to the web server."""
    found = [proxy.post("/sign-in/", size).status_code for _ in range(5) for size in (300_000, 300)]

    assert found == [413, 403] * 5


def test_slow_senders_hold_no_web_server(proxy: Proxy) -> None:
    """More of them than it has threads, each with a form whose end never comes."""
    proxy.get("/sign-in/")  # begins the session without which no form would be read
    trust = ssl.create_default_context(cafile=str(proxy.browser.verify))
    with contextlib.ExitStack() as stack:
        for _ in range(40):
            plain = stack.enter_context(socket.create_connection(("127.0.0.1", proxy.https)))
            slow = stack.enter_context(trust.wrap_socket(plain, server_hostname="localhost"))
            slow.sendall(proxy.half_a_form())

        assert [proxy.get("/readyz").status_code for _ in range(20)] == [200] * 20


def test_htmx_is_led_to_the_sign_in(proxy: Proxy) -> None:
    answer = proxy.get("/vaults/", **{"HX-Request": "true"})

    assert answer.headers["HX-Redirect"].startswith("/sign-in/?next=")


def test_the_log_of_a_request_that_failed_holds_no_address(
    web: tuple[subprocess.Popen[str], int],  # noqa: F811 - a fixture
    proxy: Proxy,
) -> None:
    web[0].terminate()
    web[0].communicate()

    assert proxy.get("/vaults/pay-prod/secrets/db-password/").status_code == 502
    assert "connection refused" in proxy.log()
    assert "db-password" not in proxy.log()
