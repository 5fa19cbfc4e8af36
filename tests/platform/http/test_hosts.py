"""By which names the server is reached, and what HTTPS asks for."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from structlog.testing import capture_logs

from tests.factories import api_client, make_line

SHOW = "import json; from mes import settings as s; print(json.dumps([s.ALLOWED_HOSTS, s.SECURE_SSL_REDIRECT]))"


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if name not in ("ALLOWED_HOSTS", "DEMO", "BIND")}
    return subprocess.run(
        [sys.executable, *command],
        cwd=Path(settings.BASE_DIR),
        env={**inherited, **environment},
        capture_output=True,
        text=True,
    )


def hosts(**environment: str) -> list[str]:
    shown = run("-c", SHOW, **environment)
    assert shown.returncode == 0, shown.stderr
    allowed: list[str] = json.loads(shown.stdout)[0]
    return allowed


def test_only_the_demo_answers_to_every_name() -> None:
    assert hosts(DEMO="1") == ["*"]
    own = hosts(DEMO="0", BIND="10.1.2.3")
    assert {"localhost", "127.0.0.1", "[::1]", os.uname().nodename.lower(), "10.1.2.3"} == set(own)
    assert "0.0.0.0" not in hosts(DEMO="0", BIND="0.0.0.0")
    assert "[fd00::1]" in hosts(DEMO="0", BIND="fd00::1")
    assert hosts(DEMO="0", ALLOWED_HOSTS="mes.example,10.0.0.1") == ["mes.example", "10.0.0.1"]


def test_django_s_check_of_a_deployment_finds_nothing() -> None:
    checked = run("manage.py", "check", "--deploy", "--fail-level", "WARNING", DEMO="0", HTTPS="1")
    assert checked.returncode == 0, checked.stderr
    assert "no issues" in checked.stdout


@pytest.fixture
def named(settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["mes.example"]


@pytest.mark.django_db
def test_another_name_is_refused_and_the_log_says_what_to_set(named: None) -> None:
    with capture_logs() as logs:
        page = Client().get("/sign-in/", headers={"host": "10.0.0.9:8000"})
        api = api_client().get("/api/lines", headers={"host": "evil.example"})
    assert (page.status_code, api.status_code) == (400, 400)
    assert api.json()["error"]["code"] == "BAD_REQUEST"
    assert "ALLOWED_HOSTS" in page.content.decode()
    [first, second] = [entry for entry in logs if entry["event"] == "host not allowed"]
    assert (first["host"], second["host"]) == ("10.0.0.9:8000", "evil.example")
    assert "ALLOWED_HOSTS" in first["hint"]


@pytest.mark.django_db
def test_links_to_further_pages_follow_the_allowed_names(named: None) -> None:
    for number in range(2):
        make_line(f"L-{number}")
    answer = api_client().get("/api/lines?pageSize=1", headers={"host": "mes.example"})
    assert answer.json()["data"]["next"].startswith("http://mes.example/api/lines?")


@pytest.mark.django_db
def test_probes_are_answered_by_any_name_and_without_https(named: None, settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = True
    for host in ("10.0.0.9", "10.0.0.9:8000", "[fd00::9]"):
        assert Client().get("/healthz", headers={"host": host}).json() == {"ok": True}
        assert Client().get("/readyz", headers={"host": host}).status_code in (200, 503)
    assert Client().post("/healthz").status_code == 405


@pytest.mark.django_db
def test_people_are_led_to_https_and_machines_are_not(settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = True
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    settings.SECURE_HSTS_SECONDS = 60
    led = Client().get("/sign-in/")
    assert (led.status_code, led["Location"]) == (301, "https://testserver/sign-in/")
    assert api_client().get("/api/lines").status_code == 200
    answer = Client().get("/sign-in/", headers={"x-forwarded-proto": "https"})
    assert (answer.status_code, answer["Strict-Transport-Security"]) == (200, "max-age=60")
