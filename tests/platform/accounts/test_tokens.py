"""Device tokens: issued once, recognised quickly, refused as soon as they should be."""

import hashlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db.models import ProtectedError
from django.test import Client
from django.urls import path
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from mes.errors import StationNotFound, ValidationFailed
from mes.management.commands.create_token import parse_expiry
from mes.plant.models import Station
from mes.platform.accounts import tokens
from mes.platform.accounts.models import DeviceToken
from mes.platform.accounts.permissions import StationAccess, operator_name
from mes.platform.accounts.roles import Capability, Role
from mes.platform.accounts.tokens import (
    find_token,
    issue_token,
    load_token,
    revoke_token,
)
from mes.platform.inbound.sender import sender_of

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]


class ReadingsView(APIView):
    capabilities = {"post": (Capability.READINGS, Capability.DEVICE_DATA)}
    station_access = {"post": StationAccess.OWN}

    def get(self, request: Request) -> Response:
        return Response(operator_name(request))

    def post(self, request: Request) -> Response:
        sender_of(request).check_station(request.data["stationCode"])
        return Response(operator_name(request), status=201)


urlpatterns = [path("api/readings", ReadingsView.as_view())]


@pytest.fixture(autouse=True)
def fresh_cache() -> Iterator[None]:
    tokens.forget_known_tokens()
    yield
    tokens.forget_known_tokens()


def make_station(code: str) -> Station:
    return Station.objects.create(code=code, name=code, station_type="AUTO")


def issue(name: str = "printer", role: str = Role.INTEGRATION, **options: Any) -> tuple[DeviceToken, str]:
    return issue_token(name=name, role=role, **options)


def pass_time(monkeypatch: pytest.MonkeyPatch, **duration: float) -> None:
    """Move the wall clock, but not the clock of the cache."""
    now = timezone.now() + timedelta(**duration)
    monkeypatch.setattr(timezone, "now", lambda: now)


# --- issuing ----------------------------------------------------------------------------------------------


def test_only_a_hash_of_the_text_is_kept() -> None:
    token, text = issue()
    assert text.startswith("lk_")
    assert len(text) == 46
    token.refresh_from_db()
    assert token.token_hash == hashlib.sha256(text.encode()).hexdigest()
    assert token.prefix == text[:8]


def test_a_token_carries_its_roles_capabilities_and_stations() -> None:
    make_station("S1")
    _token, text = issue(station_codes=["S1", "S1"])
    principal = find_token(text)
    assert principal is not None
    assert (principal.name, principal.role, principal.station_codes) == ("printer", "INTEGRATION", {"S1"})
    assert Capability.INGEST in principal.capabilities


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"role": "BOSS"}, "role"),
        ({"expires_at": timezone.now() - timedelta(seconds=1)}, "expiresAt"),
        ({"expires_at": datetime(2300, 1, 1, tzinfo=timezone.get_default_timezone())}, "expiresAt"),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationFailed) as refused:
        issue(**options)
    assert list(refused.value.details) == [field]
    assert not DeviceToken.objects.exists()


def test_a_name_is_given_once() -> None:
    issue()
    with pytest.raises(ValidationFailed) as refused:
        issue()
    assert list(refused.value.details) == ["name"]


def test_a_station_must_exist() -> None:
    with pytest.raises(StationNotFound):
        issue(station_codes=["S1"])
    assert not DeviceToken.objects.exists()


def test_a_station_cannot_go_while_a_token_is_limited_to_it() -> None:
    station = make_station("S1")
    issue(station_codes=["S1"])
    with pytest.raises(ProtectedError):
        station.delete()


# --- recognising ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "x", "lk_", "lk_" + "x" * 43, "lk_" + "x" * 42 + "é", "lk_" + "x" * 43 + "\n"])
def test_what_was_never_issued_is_not_found(text: str) -> None:
    assert find_token(text) is None


def test_a_known_token_costs_no_query(django_assert_num_queries: Any) -> None:
    _token, text = issue()
    find_token(text)
    with django_assert_num_queries(0):
        assert find_token(text)


def test_unknown_tokens_are_asked_for_every_time(django_assert_num_queries: Any) -> None:
    for _repetition in range(2):
        with django_assert_num_queries(1):
            find_token("lk_" + "x" * 43)


def test_expiry_holds_at_once_also_for_a_token_in_the_cache(
    monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: Any
) -> None:
    _token, text = issue(expires_at=timezone.now() + timedelta(seconds=10))
    assert find_token(text)
    pass_time(monkeypatch, seconds=10)
    with django_assert_num_queries(0):
        assert find_token(text) is None


def test_revoking_holds_at_once_in_this_process(django_capture_on_commit_callbacks: Any) -> None:
    token, text = issue()
    assert find_token(text)
    with django_capture_on_commit_callbacks(execute=True):
        revoke_token(token)
    assert find_token(text) is None
    first = token.revoked_at
    revoke_token(token)
    assert token.revoked_at == first


def test_revoking_elsewhere_holds_when_the_cached_entry_is_old(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _token, text = issue()
    assert find_token(text)
    DeviceToken.objects.update(revoked_at=timezone.now())
    assert find_token(text)
    settings.MES_TOKEN_CACHE = timedelta(seconds=-1)
    assert find_token(text) is None


def test_what_was_read_before_a_revocation_is_not_remembered_after_it(
    monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: Any
) -> None:
    _token, text = issue()
    read = tokens._read

    def read_slowly(token_hash: str) -> Any:
        principal = read(token_hash)
        tokens.forget_known_tokens()  # as a revocation in another thread does
        return principal

    monkeypatch.setattr(tokens, "_read", read_slowly)
    assert load_token(text)
    assert not tokens._known._entries


def test_the_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens._known, "size", 2)
    for number in range(3):
        assert find_token(issue(name=f"token {number}")[1])
    assert len(tokens._known._entries) == 2


# --- over HTTP --------------------------------------------------------------------------------------------


def call(text: str, method: str = "get", header: str = "Bearer {}", body: str = "{}") -> Any:
    authorization = header.format(text)
    client = Client(headers={"authorization": authorization})
    arguments = {"data": body, "content_type": "application/json"} if method == "post" else {}
    return getattr(client, method)("/api/readings", **arguments)


def test_a_token_signs_in() -> None:
    _token, text = issue()
    assert call(text).json() == {"ok": True, "data": "token:printer"}
    assert call(text, header="bearer  {}").status_code == 200


@pytest.mark.parametrize("header", ["Bearer", "Bearer ", "Basic {}", "Token {}", "{}", "Bearer x {}", "Bearer é{}"])
def test_a_malformed_header_is_answered_with_401(header: str) -> None:
    _token, text = issue()
    response = call(text, header=header)
    assert (response.status_code, response.json()["error"]["code"]) == (401, "NOT_AUTHENTICATED")
    assert response["WWW-Authenticate"] == "Bearer"


def test_unknown_expired_and_revoked_tokens_are_told_apart(
    monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    token, revoked = issue("revoked")
    with django_capture_on_commit_callbacks(execute=True):
        revoke_token(token)
    _token, expired = issue("expired", expires_at=timezone.now() + timedelta(seconds=5))
    pass_time(monkeypatch, seconds=5)
    messages = [call(text).json()["error"]["message"] for text in (revoked, expired, "lk_" + "x" * 43)]
    assert ["revoked" in messages[0], "expired" in messages[1], "unknown" in messages[2]] == [True] * 3


@pytest.mark.parametrize(("role", "status"), [("INTEGRATION", 201), ("OPERATOR", 201), ("QUALITY", 403)])
def test_a_write_needs_one_of_the_views_capabilities(role: str, status: int) -> None:
    _token, text = issue(role=role)
    assert call(text, "post", body='{"stationCode": "S1"}').status_code == status


@pytest.mark.parametrize(("code", "status"), [("S1", 201), ("S2", 403), ("s1", 403)])
def test_a_token_limited_to_stations_is_refused_elsewhere(code: str, status: int) -> None:
    make_station("S1")
    _token, text = issue(station_codes=["S1"])
    response = call(text, "post", body=f'{{"stationCode": "{code}"}}')
    assert response.status_code == status
    if status == 403:
        assert response.json()["error"]["code"] == "PERMISSION_DENIED"


# --- the command ------------------------------------------------------------------------------------------


def create(*arguments: str) -> str:
    out = StringIO()
    call_command("create_token", *arguments, stdout=out)
    return out.getvalue()


def test_the_command_prints_the_token_alone_on_its_last_line() -> None:
    make_station("S1")
    text = create("oven", "--role", "integration", "--station", "S1", "--expires", "2190-01-31").splitlines()[-1]
    principal = find_token(text)
    assert principal is not None
    assert (principal.role, principal.station_codes) == ("INTEGRATION", {"S1"})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x", "--role", "boss"], "There is no role “boss”"),
        (["x", "--role", "admin", "--station", "S9"], "no station “S9”"),
        (["oven", "--role", "admin"], "already exists"),
        (["x", "--role", "admin", "--expires", "2020-01-01"], "future"),
        (["x", "--role", "admin", "--expires", "9999-12-31"], "neither a date"),
        (["x", "--role", "admin", "--expires", "2027-02-30"], "neither a date"),
        (["x", "--role", "admin", "--expires", "soon"], "neither a date"),
    ],
)
def test_the_command_says_what_is_wrong(arguments: list[str], message: str) -> None:
    issue("oven")
    with pytest.raises(CommandError, match=message):
        create(*arguments)
    assert DeviceToken.objects.count() == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2027-01-31", "2027-02-01T00:00:00+08:00"),
        ("2027-01-31T18:00", "2027-01-31T18:00:00+08:00"),
        ("2027-01-31T18:00:00Z", "2027-01-31T18:00:00+00:00"),
    ],
)
def test_a_date_means_its_end_in_the_plants_time_zone(text: str, expected: str) -> None:
    with timezone.override("Asia/Taipei"):
        assert parse_expiry(text).isoformat() == expected
