"""The frame as a client meets it, tried on lines and stations."""

import json
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, Group, User
from django.test import Client
from django.urls import include, path
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.response import Response
from rest_framework.routers import DefaultRouter
from rest_framework.test import APIClient

from mes.errors import LineNotFound, StationNotFound
from mes.plant.models import Line, Station
from mes.platform.accounts.roles import Capability, Role
from mes.platform.http.serializers import (
    CodeRelatedField,
    IdField,
    OffsetDateTimeField,
    StrictModelSerializer,
    StrictSerializer,
)
from mes.platform.http.viewsets import CodeModelViewSet, IdModelViewSet
from tests.factories import make_user

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]

MASTER_DATA = {"*": (Capability.MASTER_DATA,)}


class LineSerializer(StrictModelSerializer):
    processType = serializers.ChoiceField(choices=["SMT", "DIP"])
    readinessChecks = serializers.ListField(child=serializers.CharField(), required=False, max_length=3)

    class Meta:
        model = Line
        fields = ("code", "name", "processType", "readinessChecks", "shifts")


class StationSerializer(StrictModelSerializer):
    id = IdField()
    lineCode = CodeRelatedField(
        source="line", queryset=Line.objects.all(), not_found=LineNotFound, required=False, allow_null=True
    )
    stationType = serializers.CharField()

    class Meta:
        model = Station
        fields = ("id", "code", "name", "lineCode", "stationType")


class Measured(StrictSerializer):
    at = OffsetDateTimeField()
    count = serializers.IntegerField()
    ratio = serializers.FloatField(required=False)
    good = serializers.BooleanField(required=False)
    tags = serializers.ListField(child=serializers.CharField(), required=False)


class LineViewSet(CodeModelViewSet):
    queryset = Line.objects.all()
    serializer_class = LineSerializer
    not_found = LineNotFound
    capabilities = MASTER_DATA
    filters = {"processType": "process_type"}
    search_fields = ("code", "name")

    @action(detail=False, methods=["post"])
    def measure(self, request: Any) -> Response:
        body = Measured(data=request.data)
        body.is_valid(raise_exception=True)
        return Response(body.data)

    @action(detail=False, methods=["get"])
    def fail(self, request: Any) -> Response:
        raise ZeroDivisionError

    @action(detail=False, methods=["post"])
    def echo(self, request: Any) -> Response:
        return Response(request.data)


class StationViewSet(IdModelViewSet):
    queryset = Station.objects.select_related("line")
    serializer_class = StationSerializer
    not_found = StationNotFound
    capabilities = MASTER_DATA
    filters = {"lineCode": "line__code", "id": "id"}


class UndeclaredViewSet(CodeModelViewSet):
    queryset = Line.objects.all()
    serializer_class = LineSerializer


router = DefaultRouter(trailing_slash=False)
router.include_root_view = False
router.include_format_suffixes = False
router.register("lines", LineViewSet, basename="line")
router.register("stations", StationViewSet, basename="station")
router.register("undeclared", UndeclaredViewSet, basename="undeclared")
urlpatterns = [path("api/", include(router.urls))]
handler400 = "mes.platform.http.handlers.bad_request"
handler404 = "mes.platform.http.handlers.not_found"
handler500 = "mes.platform.http.handlers.server_error"


@pytest.fixture
def engineer() -> APIClient:
    user = User.objects.create_user("eva")
    user.groups.add(Group.objects.get_or_create(name=Role.ENGINEER.group_name)[0])
    client = APIClient()
    client.force_authenticate(user)
    return client


def make_line(code: str = "L1", **fields: Any) -> Line:
    return Line.objects.create(**{"code": code, "name": code, "process_type": "SMT", **fields})


def send(client: APIClient, body: Any, address: str = "/api/lines", method: str = "post") -> tuple[int, Any]:
    response = getattr(client, method)(address, body, format="json")
    return response.status_code, response.json()


# --- create, read, change, delete ---------------------------------------------------------------------------


def test_a_thing_is_created_read_changed_and_deleted_by_its_code(engineer: APIClient) -> None:
    body = {"code": "L 1+:#é.x", "name": "Line", "processType": "SMT"}
    assert send(engineer, body) == (201, {"ok": True, "data": {**body, "readinessChecks": [], "shifts": []}})
    address = "/api/lines/L%201%2B%3A%23%C3%A9.x"
    assert engineer.get(address).json()["data"]["code"] == body["code"]
    assert send(engineer, {"name": "Other"}, address, "patch")[1]["data"]["name"] == "Other"
    assert send(engineer, None, address, "delete") == (200, {"ok": True, "data": None})
    assert engineer.get(address).json()["error"]["code"] == "LINE_NOT_FOUND"


def test_put_is_not_offered(engineer: APIClient) -> None:
    make_line()
    status, body = send(engineer, {}, "/api/lines/L1", "put")
    assert (status, body["error"]["code"]) == (405, "METHOD_NOT_ALLOWED")


def test_deleting_what_is_in_use_is_refused(engineer: APIClient) -> None:
    Station.objects.create(code="S1", name="S1", line=make_line(), station_type="AUTO")
    status, body = send(engineer, None, "/api/lines/L1", "delete")
    assert (status, body["error"]["code"]) == (409, "IN_USE")
    assert "stations" in body["error"]["message"]


@pytest.mark.parametrize("identity", ["x", "-1", "1.5", "9" * 19, "9" * 30, "²", "0"])
def test_what_cannot_be_an_id_names_nothing(engineer: APIClient, identity: str) -> None:
    response = engineer.get(f"/api/stations/{identity}")
    assert (response.status_code, response.json()["error"]["code"]) == (404, "STATION_NOT_FOUND")


def test_a_reference_to_nothing_is_answered_with_its_own_404(engineer: APIClient) -> None:
    body = {"code": "S1", "name": "S", "stationType": "AUTO", "lineCode": "L9"}
    status, answer = send(engineer, body, "/api/stations")
    assert (status, answer["error"]["code"], answer["error"]["details"]) == (404, "LINE_NOT_FOUND", {"code": "L9"})


def test_a_reference_can_be_left_out_or_null_and_ids_are_strings(engineer: APIClient) -> None:
    body = {"code": "S1", "name": "S", "stationType": "AUTO", "lineCode": None}
    status, answer = send(engineer, body, "/api/stations")
    assert (status, answer["data"]["lineCode"]) == (201, None)
    assert isinstance(answer["data"]["id"], str)
    assert engineer.get(f"/api/stations/{answer['data']['id']}").status_code == 200


# --- strictness -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"code": ""}, "code"),
        ({"code": " L1"}, "code"),
        ({"code": "L1 "}, "code"),
        ({"code": "a//b"}, "code"),
        ({"code": "a\tb"}, "code"),
        ({"code": "a\x7fb"}, "code"),
        ({"code": "x" * 101}, "code"),
        ({"code": 5}, "code"),
        ({"code": None}, "code"),
        ({"code": True}, "code"),
        ({"code": ["L1"]}, "code"),
        ({"naem": "x"}, "naem"),
        ({"self": 1}, "self"),
        ({"processType": "XYZ"}, "processType"),
        ({"processType": 1}, "processType"),
        ({"processType": []}, "processType"),
        ({"readinessChecks": "ROUTE"}, "readinessChecks"),
        ({"readinessChecks": ["ROUTE", 5]}, "readinessChecks.1"),
        ({"readinessChecks": {"a": "b"}}, "readinessChecks"),
    ],
)
def test_what_is_malformed_is_refused_by_its_path(engineer: APIClient, change: dict[str, Any], path: str) -> None:
    status, answer = send(engineer, {"code": "L1", "name": "Line", "processType": "SMT", **change})
    assert (status, answer["error"]["code"]) == (400, "VALIDATION_ERROR")
    assert list(answer["error"]["details"]) == [path]
    assert not Line.objects.exists()


def test_missing_and_unknown_fields_are_told_together(engineer: APIClient) -> None:
    details = send(engineer, {"coed": "L1", "processType": "SMT"})[1]["error"]["details"]
    assert set(details) == {"code", "coed", "name"}


def test_a_code_exists_once(engineer: APIClient) -> None:
    make_line()
    status, answer = send(engineer, {"code": "L1", "name": "x", "processType": "SMT"})
    assert (status, list(answer["error"]["details"])) == (400, ["code"])


def test_the_model_has_its_say_with_camel_case_paths(engineer: APIClient) -> None:
    status, answer = send(engineer, {"code": "S1", "name": "S", "stationType": "NO"}, "/api/stations")
    assert (status, list(answer["error"]["details"])) == (400, ["stationType"])


def test_a_refused_change_leaves_the_thing_as_it_was(engineer: APIClient) -> None:
    make_line()
    assert send(engineer, {"code": "a//b"}, "/api/lines/L1", "patch")[0] == 400
    assert Line.objects.get().code == "L1"


SOUND = {"at": "2026-01-24T10:00:00+01:00", "count": 3}


def test_times_come_back_in_utc(engineer: APIClient) -> None:
    assert send(engineer, SOUND, "/api/lines/measure")[1]["data"]["at"] == "2026-01-24T09:00:00Z"


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"at": "2026-01-24T10:00:00"}, "at"),
        ({"at": "2026-01-24"}, "at"),
        ({"at": "1899-12-31T10:00:00Z"}, "at"),
        ({"at": "2201-01-01T10:00:00Z"}, "at"),
        ({"at": "0001-01-01T00:00:00+14:00"}, "at"),
        ({"at": "9999-12-31T23:59:59-14:00"}, "at"),
        ({"at": "2026-02-30T10:00:00Z"}, "at"),
        ({"at": 1769248800}, "at"),
        ({"count": "3"}, "count"),
        ({"count": True}, "count"),
        ({"count": 3.5}, "count"),
        ({"count": 1e300}, "count"),
        ({"ratio": "1.5"}, "ratio"),
        ({"ratio": False}, "ratio"),
        ({"good": 1}, "good"),
        ({"good": "true"}, "good"),
        ({"tags": ["a", 1]}, "tags.1"),
        ({"tags": [["a"]]}, "tags.0"),
    ],
)
def test_values_are_never_coerced(engineer: APIClient, change: dict[str, Any], path: str) -> None:
    status, answer = send(engineer, {**SOUND, **change}, "/api/lines/measure")
    assert (status, list(answer["error"]["details"])) == (400, [path])


# --- bodies -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("root", [None, [], "x", 5, True, [{}]])
def test_a_body_that_is_no_object_is_refused(engineer: APIClient, root: Any) -> None:
    response = engineer.post("/api/lines", json.dumps(root), content_type="application/json")
    assert (response.status_code, response.json()["error"]["code"]) == (400, "VALIDATION_ERROR")
    assert list(response.json()["error"]["details"]) == ["body"]


@pytest.mark.parametrize("content_type", ["application/json", "application/x-www-form-urlencoded", "text/plain"])
def test_an_empty_body_is_an_empty_object(engineer: APIClient, content_type: str) -> None:
    response = engineer.generic("POST", "/api/lines", b"", content_type=content_type)
    assert response.status_code == 400
    assert set(response.json()["error"]["details"]) == {"code", "name", "processType"}


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        (b"{", "application/json", 400, "PARSE_ERROR"),
        (b"[" * 100_000, "application/json", 400, "PARSE_ERROR"),
        (b"\xff", "application/json", 400, "PARSE_ERROR"),
        (rb'{"code":"\u0000"}', "application/json", 400, "VALIDATION_ERROR"),
        (b"x" * (1024 * 1024 + 1), "application/json", 413, "PAYLOAD_TOO_LARGE"),
        (b"<x/>", "text/xml", 415, "UNSUPPORTED_MEDIA_TYPE"),
        (b"a=b", "application/x-www-form-urlencoded", 415, "UNSUPPORTED_MEDIA_TYPE"),
        (b"--x", "multipart/form-data; boundary=x", 415, "UNSUPPORTED_MEDIA_TYPE"),
        (b"{}", "nonsense", 415, "UNSUPPORTED_MEDIA_TYPE"),
    ],
)
def test_unusable_bodies(engineer: APIClient, body: bytes, content_type: str, status: int, code: str) -> None:
    response = engineer.generic("POST", "/api/lines", body, content_type=content_type)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)


def test_a_view_may_take_larger_bodies(engineer: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LineViewSet, "body_limit", 2 * 1024 * 1024, raising=False)
    body = b'{"x":"' + b"y" * (1024 * 1024 + 1) + b'"}'
    assert engineer.generic("POST", "/api/lines/echo", body, content_type="application/json").status_code == 200


def test_an_unforeseen_error_is_a_500_in_the_same_shape(engineer: APIClient) -> None:
    response = engineer.get("/api/lines/fail", HTTP_X_REQUEST_ID="abc-1")
    assert response.status_code == 500
    assert response.json()["error"]["code"] == "INTERNAL_ERROR"
    assert response.json()["error"]["requestId"] == response["X-Request-ID"] == "abc-1"


def test_options_describes_the_view(engineer: APIClient) -> None:
    assert engineer.options("/api/stations").status_code == 200


def test_an_address_that_does_not_exist_is_json_under_the_api(client: Client) -> None:
    response = client.get("/api/nothing")
    assert (response.status_code, response.json()["error"]["code"]) == (404, "NOT_FOUND")
    page = client.get("/nothing")
    assert page.status_code == 404
    assert page["Content-Type"].startswith("text/html")


# --- lists ------------------------------------------------------------------------------------------------


def codes(answer: Any) -> list[str]:
    return [item["code"] for item in answer["data"]["items"]]


def test_lists_are_newest_first_and_paged_both_ways(engineer: APIClient) -> None:
    for number in range(5):
        make_line(f"L{number}")
    first = engineer.get("/api/lines?pageSize=2").json()
    assert (codes(first), first["data"]["previous"]) == (["L4", "L3"], None)
    make_line("L5")
    second = engineer.get(first["data"]["next"]).json()
    assert codes(second) == ["L2", "L1"]
    third = engineer.get(second["data"]["next"]).json()
    assert (codes(third), third["data"]["next"]) == (["L0"], None)
    assert codes(engineer.get(third["data"]["previous"]).json()) == ["L2", "L1"]


def test_a_list_takes_one_query(engineer: APIClient, django_assert_num_queries: Any) -> None:
    engineer.get("/api/stations")  # the roles, remembered on the user that the client keeps
    for number in range(3):
        Station.objects.create(code=f"S{number}", name="S", line=make_line(f"L{number}"), station_type="AUTO")
    with django_assert_num_queries(1):
        engineer.get("/api/stations")


@pytest.mark.parametrize("size", ["0", "-1", "x", "", "1.5", "٣", "9" * 30])
def test_a_page_size_that_is_none_is_refused(engineer: APIClient, size: str) -> None:
    response = engineer.get("/api/lines", {"pageSize": size})
    assert (response.status_code, list(response.json()["error"]["details"])) == (400, ["pageSize"])


def test_pages_hold_at_most_two_hundred(engineer: APIClient) -> None:
    Line.objects.bulk_create(Line(code=f"L{number}", name="x", process_type="SMT") for number in range(201))
    assert len(codes(engineer.get("/api/lines?pageSize=500").json())) == 200
    assert len(codes(engineer.get("/api/lines").json())) == 50


@pytest.mark.parametrize("cursor", ["x", "é", "cD14", "cD0tMQ==", "cD05OTk5OTk5OTk5OTk5OTk5OTk5", "bz14", "cj14"])
def test_a_cursor_that_we_did_not_make_is_refused(engineer: APIClient, cursor: str) -> None:
    response = engineer.get("/api/lines", {"cursor": cursor})
    assert (response.status_code, list(response.json()["error"]["details"])) == (400, ["cursor"])


def test_lists_are_filtered_exactly_and_searched(engineer: APIClient) -> None:
    make_line("L1", name="front")
    make_line("L2", name="back", process_type="DIP")
    Station.objects.create(code="S1", name="S", line=Line.objects.get(code="L1"), station_type="AUTO")
    Station.objects.create(code="S2", name="S", line=Line.objects.get(code="L2"), station_type="AUTO")
    assert codes(engineer.get("/api/lines?processType=DIP").json()) == ["L2"]
    assert codes(engineer.get("/api/lines?search=FRO").json()) == ["L1"]
    assert codes(engineer.get("/api/lines?unknown=1&processType=").json()) == ["L2", "L1"]
    assert codes(engineer.get("/api/stations?lineCode=L1").json()) == ["S1"]
    assert codes(engineer.get("/api/stations?lineCode=%25").json()) == []


@pytest.mark.parametrize("identity", ["x", "1.5", "²", "9" * 30])
def test_a_filter_of_the_wrong_type_is_refused(engineer: APIClient, identity: str) -> None:
    response = engineer.get("/api/stations", {"id": identity})
    assert (response.status_code, list(response.json()["error"]["details"])) == (400, ["id"])


def test_a_filter_by_what_no_row_can_be_is_refused_with_what_it_can_be(engineer: APIClient) -> None:
    make_line("L1")
    response = engineer.get("/api/lines?processType=SMD")
    assert response.status_code == 400
    assert response.json()["error"]["details"] == {"processType": "Must be one of SMT, DIP."}
    assert codes(engineer.get("/api/lines?processType=SMT").json()) == ["L1"]


# --- who may ----------------------------------------------------------------------------------------------


def test_nobody_reads_without_signing_in(client: Client) -> None:
    for response in (client.get("/api/lines"), client.post("/api/lines")):
        assert (response.status_code, response.json()["error"]["code"]) == (401, "NOT_AUTHENTICATED")
        assert response["WWW-Authenticate"] == "Bearer"
    assert isinstance(response.wsgi_request.user, AnonymousUser)


def test_everyone_with_a_role_reads_but_does_not_write() -> None:
    client = APIClient()
    client.force_authenticate(make_user(Role.OPERATOR))
    assert client.get("/api/lines").status_code == 200
    status, answer = send(client, {"code": "L1", "name": "x", "processType": "SMT"})
    assert (status, answer["error"]["code"]) == (403, "PERMISSION_DENIED")
    assert "Engineer" in answer["error"]["message"]
    assert not Line.objects.exists()


def test_nobody_without_a_role_reads() -> None:
    client = APIClient()
    client.force_authenticate(make_user())
    answer = client.get("/api/lines")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "PERMISSION_DENIED")
    assert "no role" in answer.json()["error"]["message"]


def test_a_write_that_declares_no_capability_is_refused_to_everyone() -> None:
    client = APIClient()
    client.force_authenticate(User.objects.create_superuser("root"))
    assert client.get("/api/undeclared").status_code == 200
    assert send(client, {"code": "L1", "name": "x", "processType": "SMT"}, "/api/undeclared")[0] == 403


def test_the_session_of_a_person_works_and_needs_its_csrf_token() -> None:
    user = User.objects.create_superuser("root")
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    assert client.get("/api/lines").status_code == 200
    response = client.post("/api/lines", b"{}", content_type="application/json")
    assert (response.status_code, response.json()["error"]["code"]) == (403, "PERMISSION_DENIED")
