"""The page for those who run the installation, and trying again what was given up."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from integration.models import FailedMessage
from mes.errors import InvalidTransition
from mes.platform.accounts.roles import Role
from mes.platform.database.models import RetentionRun
from mes.platform.database.partitions import PARTITIONED_TABLES
from mes.platform.monitoring import open_work
from mes.platform.outbox import dead_letters, heartbeats, processor
from mes.platform.outbox.models import EventStatus, MesEvent, WorkerHeartbeat
from mes.platform.server import backup
from tests.factories import api_client, make_user
from tests.platform.outbox.support import make_event

PAGE = "/operations/"
LIVE = {"HTTP_HX_REQUEST": "true"}


def sign_in(role: Role = Role.ENGINEER) -> Client:
    client = Client()
    client.force_login(make_user(role))
    return client


def make_dead(key: str, **fields: object) -> MesEvent:
    return make_event(key, status="DEAD", attempts=10, error="ValueError: <no> way", **fields)


def text(client: Client, **headers: str) -> str:
    response = client.get(PAGE, **headers)
    assert response.status_code == 200
    return response.content.decode()


# --- the page -----------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_an_installation_without_worker_says_so_and_what_to_do():
    page = text(sign_in())
    assert "No worker is alive" in page
    assert "manage.py worker" in page
    assert "It has not run yet" in page


@pytest.mark.django_db
def test_all_is_well():
    heartbeats.beat(processed=7)
    make_event("k", status="COMPLETED")
    RetentionRun.objects.create(ended_at=timezone.now(), rows={"completed events": 42})
    page = text(sign_in())
    assert "All is well" in page
    assert "completed events: 42" in page
    assert "MES_VALUE_RETENTION_DAYS" in page
    assert "execution_datavalue" in page
    assert "Not ahead" not in page


@pytest.mark.django_db
def test_the_last_backup_is_shown_and_when_there_should_be_a_later_one(settings, tmp_path):
    client = sign_in()
    assert "Off: set MES_BACKUP_DIR" in text(client)
    settings.MES_BACKUP_DIR = tmp_path
    assert "None yet" in text(client)
    for hours in (50, 30, 1):
        made_at = timezone.now() - timedelta(hours=hours)
        (tmp_path / backup.NAME.format(made_at)).write_text("x" * 2048)
        ((shade, shown),) = re.findall(r"<div([^>]*)><dt>Last backup</dt><dd>(.*?)</dd>", text(client))
        assert (shade, "2.0\xa0KB" in shown) == (' class="tone-bad"' if hours > 26 else "", True)


@pytest.mark.django_db
def test_a_worker_whose_clock_stands_still_is_told():
    heartbeats.beat(processed=0)
    WorkerHeartbeat.objects.update(started_at=timezone.now() - timedelta(minutes=5))
    assert "its clock stands still" in text(sign_in())


@pytest.mark.django_db
def test_dead_events_are_shown_with_their_error_and_counted_by_type():
    heartbeats.beat(processed=0)
    for number in range(25):
        make_dead(f"k{number}", event_type="TRACK_IN")
    make_dead("alarm", event_type="DATA_ALARM")
    page = text(sign_in())
    assert "some events were given up" in page
    assert "ValueError: &lt;no&gt; way" in page
    assert "Track in: try all 25 again" in page
    assert "Data alarm: try all 1 again" in page
    assert "The newest 20 of 26" in page


@pytest.mark.django_db
def test_open_work_is_counted_with_a_link_to_it():
    FailedMessage.objects.create(
        received_at=timezone.now(), direction="INBOUND", entity_type="DEVICE_DATA", status="FAILED", digest=b""
    )
    page = text(sign_in())
    assert "Messages that could not be applied" in page
    assert "/integration/messages/" in page


@pytest.mark.django_db
def test_the_live_part_says_nothing_while_nothing_changes():
    client = sign_in()
    first = client.get(PAGE, **LIVE)
    assert b"Storage" not in first.content
    seen = first.content.decode().partition("seen=")[2].partition('"')[0]
    assert client.get(PAGE, {"seen": seen}, **LIVE).status_code == 204
    make_dead("k")
    assert client.get(PAGE, {"seen": seen}, **LIVE).status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize("number", [1, 30])
def test_the_number_of_queries_does_not_grow(django_assert_num_queries, number):
    client = sign_in()
    for one in range(number):
        make_dead(f"k{one}")
        WorkerHeartbeat.objects.create(name=f"w{one}")
    client.get(PAGE)
    live = 9 + len(list(open_work.kinds))
    with django_assert_num_queries(live):
        client.get(PAGE, **LIVE)
    with django_assert_num_queries(live + 4 + len(PARTITIONED_TABLES)):
        client.get(PAGE)


@pytest.mark.django_db
def test_what_would_go_is_shown_and_nothing_goes():
    make_event("k", status="COMPLETED", retention_until=timezone.now() - timedelta(days=1))
    response = sign_in().get("/operations/retention/")
    assert "1 row" in response.content.decode()
    assert MesEvent.objects.count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize("role", [Role.OPERATOR, Role.SUPERVISOR, Role.QUALITY])
def test_it_is_for_those_who_run_it(role):
    event = make_dead("k")
    client = sign_in(role)
    for address in (PAGE, "/operations/retention/"):
        assert client.get(address).status_code == 403
    assert client.post(f"/operations/events/{event.pk}/retry/").status_code == 403
    assert api_client(role).post(f"/api/events/{event.pk}/retry").status_code == 403
    assert Client().get(PAGE).status_code == 302
    assert MesEvent.objects.get().status == "DEAD"


# --- trying again -------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_dead_event_is_tried_again_from_the_page():
    event = make_dead("k")
    client = sign_in()
    assert "tried again" in client.post(f"/operations/events/{event.pk}/retry/", follow=True).content.decode()
    event.refresh_from_db()
    assert (event.status, event.attempts) == ("PENDING", 0)
    assert processor.process_due() == 1
    assert "not possible" in client.post(f"/operations/events/{event.pk}/retry/", follow=True).content.decode()
    assert "no event" in client.post(f"/operations/events/{2**63 - 1}/retry/", follow=True).content.decode()
    assert client.post(f"/operations/events/{10**30}/retry/").status_code == 302
    assert client.get(f"/operations/events/{event.pk}/retry/").status_code == 405


@pytest.mark.django_db
def test_all_of_a_type_are_tried_again_and_no_other():
    for key, kind in (("a", "TRACK_IN"), ("b", "TRACK_IN"), ("c", "DATA_ALARM")):
        make_dead(key, event_type=kind)
    make_event("later", status="FAILED", due_ago=-60)
    client = sign_in()
    said = client.post("/operations/events/retry/", {"event_type": "TRACK_IN"}, follow=True).content.decode()
    assert "2 events are tried again" in said
    found = dict(MesEvent.objects.values_list("idempotency_key", "status"))
    assert found == {"a": "PENDING", "b": "PENDING", "c": "DEAD", "later": "FAILED"}
    said = client.post("/operations/events/retry/", {"event_type": "nonsense"}, follow=True).content.decode()
    assert "no such type" in said


@pytest.mark.django_db
def test_the_interface_lists_events_and_tries_them_again():
    event = make_dead("k")
    make_event("done", status="COMPLETED")
    client = api_client(Role.ENGINEER)
    [item] = client.get("/api/events?status=DEAD&eventType=TRACK_IN").json()["data"]["items"]
    assert (item["id"], item["error"], item["attempts"]) == (str(event.pk), "ValueError: <no> way", 10)
    answer = client.post(f"/api/events/{event.pk}/retry")
    assert (answer.status_code, answer.json()["data"]["status"]) == (200, "PENDING")
    assert client.post(f"/api/events/{event.pk}/retry").json()["error"]["code"] == "INVALID_TRANSITION"
    assert client.post("/api/events/x/retry").json()["error"]["code"] == "EVENT_NOT_FOUND"
    MesEvent.objects.update(status=EventStatus.DEAD)
    answer = client.post("/api/events/retry-dead", {"eventType": "TRACK_IN"})
    assert answer.json()["data"] == {"retried": 2}


@pytest.mark.django_db(transaction=True)
def test_two_at_once_revive_an_event_once():
    event = make_dead("k")

    def one(_number: int) -> str:
        try:
            dead_letters.retry(event_id=event.pk, by="x")
        except InvalidTransition:
            return "refused"
        finally:
            connection.close()
        return "done"

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(one, range(4))) == ["done", "refused", "refused", "refused"]
