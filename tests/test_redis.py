"""Two web servers and a worker with a real Redis between them, where one is installed (Debian: redis-server)."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import redis
import requests
import yaml
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, generate_totp_secret, hotp_value

from kvadmin.accounts import FAILED
from kvadmin.caching import AWAY
from kvadmin.jobs.models import WorkerBeat
from tests import factories, load
from tests.processes import ROOT
from vaults.models import Person

SERVER = shutil.which("redis-server")
WORD, PASSWORD = "a-word-for-redis-only", "correct battery staple"
TOKEN = re.compile(r'name="csrf(?:-token" content|middlewaretoken" value)="([^"]+)"')
SECRET = "/vaults/pay-prod/secrets/db-password/"
pytestmark = [
    pytest.mark.postgres,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(SERVER is None, reason="redis-server is not installed: nobody tried a real Redis"),
]


class Redis:
    """The server of compose.yaml, on a port of its own, and with a password."""

    def __init__(self, folder: Path) -> None:
        self.port, self.log = load.free_port(), folder / "redis.log"
        self.url = f"redis://:{WORD}@127.0.0.1:{self.port}/0"
        told = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))["services"]["cache"]["command"][1:]
        here = ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(folder), "--requirepass", WORD]
        self.command = [str(SERVER), *told, *here]
        self.start()

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log)
        while load.refuses(self.port):
            assert self.process.poll() is None, self.log.read_text("utf-8")
            time.sleep(0.05)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()

    def entries(self) -> dict[str, bytes]:
        with redis.Redis.from_url(self.url) as client:
            return {key.decode(): client.get(key) for key in client.scan_iter()}


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Redis]:
    made = Redis(tmp_path)
    yield made
    made.stop()


@pytest.fixture
def ada(settings) -> Person:
    """She may see the one value, and signs in with a password and a code."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]  # as the web servers have it
    factories.secret(factories.vault("pay-prod", environment="prod"), "db-password")
    factories.policy("direct", environment="prod")
    made = factories.person("ada", "secrets-user")
    made.set_password(PASSWORD)
    made.save()
    return made


@pytest.fixture
def ports(ada: Person, cache: Redis, tmp_path: Path) -> Iterator[list[int]]:
    """Where the two web servers listen."""
    with load.emulator() as (_, door):
        processes = load.Processes(load.environment(door) | {"CACHE_URL": cache.url}, tmp_path)
        try:
            found = [load.free_port(), load.free_port()]
            for port in found:
                processes.web(port)
            processes.worker()
            processes.until(WorkerBeat.objects.exists)
            yield found
        finally:
            processes.end()


@dataclass
class Browser:
    """One that a proxy leads to whichever web server it likes."""

    session: requests.Session = field(default_factory=requests.Session)

    def get(self, port: int, path: str) -> requests.Response:
        return self.session.get(f"http://127.0.0.1:{port}{path}", allow_redirects=False, timeout=120)

    def post(self, port: int, path: str, page: str = "", **data: str) -> requests.Response:
        token = TOKEN.findall(self.get(port, page or path).text)[0]
        headers = {"X-CSRFToken": token, **({"HX-Request": "true"} if "reveal" in path else {})}
        url = f"http://127.0.0.1:{port}{path}"
        return self.session.post(url, data=data, headers=headers, allow_redirects=False, timeout=120)

    def sign_in(self, port: int, name: str = "ada", password: str = PASSWORD) -> requests.Response:
        return self.post(port, "/sign-in/", login=name, password=password)


def code(secret: str) -> str:
    return str(format_hotp_value(hotp_value(secret, int(time.time()) // 30)))


def test_a_session_of_one_web_server_is_one_of_the_other_and_a_used_code_is_used_up_at_both(
    ada: Person, cache: Redis, ports: list[int]
) -> None:
    TOTP.activate(ada, secret := generate_totp_secret())
    here, there = ports
    mine, thief = Browser(), Browser()
    mine.sign_in(here)
    thief.sign_in(there)
    used = code(secret)

    assert mine.post(here, "/sign-in/second-factor/", code=used).status_code == 302
    assert thief.post(there, "/sign-in/second-factor/", code=used).status_code == 422
    assert mine.post(there, f"{SECRET}reveal/", SECRET, reason="INC-7").json()["value"] == load.VALUE
    assert_nothing_to_hide(cache.entries(), [used_key(mine), used_key(thief), PASSWORD, load.VALUE, secret, "INC-7"])
    assert mine.post(here, "/sign-out/", "/help/").headers["Location"] == "/sign-in/"
    assert mine.get(there, "/help/").headers["Location"].startswith("/sign-in/")


def used_key(browser: Browser) -> str:
    """The key of this browser's session."""
    return str(browser.session.cookies["kvadmin"])


def assert_nothing_to_hide(entries: dict[str, bytes], hidden: list[str]) -> None:
    """What lies there is counts and marks, as JSON."""
    whole = "\n".join(f"{key} {json.loads(entry)}" for key, entry in entries.items())

    assert len(entries) >= 2
    assert [word for word in hidden if word in whole] == []


def test_bad_sign_ins_count_together_and_are_no_more_counted_than_others(ada: Person, ports: list[int]) -> None:
    for turn in range(5):
        assert FAILED in Browser().sign_in(ports[turn % 2], password=f"wrong-{turn}").text

    assert [FAILED in Browser().sign_in(port).text for port in ports] == [True, True]


def test_while_redis_is_away_who_is_signed_in_works_on_and_nobody_else_comes_in(
    ada: Person, cache: Redis, ports: list[int]
) -> None:
    here, _ = ports
    inside, outside = Browser(), Browser()
    inside.sign_in(here)
    cache.stop()

    refused = outside.sign_in(here)
    assert (refused.status_code, AWAY in refused.text) == (503, True)
    assert inside.get(here, SECRET).status_code == 200
    cache.start()
    assert outside.sign_in(here).headers["Location"] == "/"
