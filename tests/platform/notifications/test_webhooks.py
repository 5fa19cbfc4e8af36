"""Webhooks: signed, once at each receiver, and a dead one delays no other."""

import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from demo import erp
from demo.erp import Erp, serve
from mes.platform.accounts.roles import Role
from mes.platform.notifications import receiver_addresses, webhooks
from mes.platform.outbox import dead_letters
from mes.platform.outbox.models import MesEvent
from tests.factories import make_line, make_user
from tests.platform.notifications.support import make_notice, make_rule, sent, tell, texts, work_off

pytestmark = pytest.mark.django_db

CERTIFICATE = Path(__file__).with_name("chat.example.pem")  # with its key, signed by itself, for a hundred years
Start = Callable[..., tuple[Erp, str]]


@pytest.fixture
def start(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Start receivers on this machine; return each with its address."""
    settings.MES_WEBHOOK_SECRET, settings.MES_WEBHOOK_LOCAL, settings.MES_WEBHOOK_TIMEOUT = "secret", True, 0.3
    monkeypatch.setattr(webhooks, "CONNECT_TIMEOUT", 0.3)
    servers = []
    webhooks.forget_pauses()

    def one(certificate: Path | None = None) -> tuple[Erp, str]:
        receiver = Erp("secret", hang=2)
        server = serve(receiver)
        if certificate is not None:
            tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            tls.load_cert_chain(certificate)
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        servers.append(server)
        return receiver, f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_port}/hook?room=7"

    yield one
    for server in servers:
        server.shutdown()
        server.server_close()
    webhooks.forget_pauses()


def hook(url: str, **fields: Any) -> None:
    make_rule(channels=["WEBHOOK"], roles=[], webhook_url=url, **fields)


def delivery(key: str = "k") -> MesEvent:
    """Tell of something, have it sent, and return how that went."""
    tell(make_notice(key))
    work_off()
    return sent("NOTICE_WEBHOOK")[-1]


def test_it_is_sent_signed(start: Start, settings: Any) -> None:
    settings.MES_ADDRESS = "https://mes.example"
    receiver, url = start()
    line = make_line("SMT-A")
    hook(url)
    tell(make_notice("k", line_id=line.pk, address="/holds/H-1/", facts={"holdNo": "H-1"}))
    work_off()
    [event] = sent("NOTICE_WEBHOOK")
    [received] = receiver.received.values()
    assert (event.status, event.attempts, receiver.refused) == ("COMPLETED", 1, [])
    assert received.key == event.payload["id"]
    occurred = received.body.pop("occurredAt")
    assert occurred.endswith("Z")
    assert received.body == {
        "type": "NOTICE_V1", "id": event.payload["id"], "key": "k", "event": "HOLD_OPENED", "severity": "WARNING",
        "text": "About k", "address": "https://mes.example/holds/H-1/", "lineCodes": ["SMT-A"], "more": None,
        "isTrial": False, "facts": {"holdNo": "H-1"},
    }  # fmt: skip


def test_sent_again_it_is_the_same(start: Start) -> None:
    receiver, url = start()
    hook(url)
    pause = webhooks.pause_of(receiver_addresses.read_target(url))
    pause.begin(at=timezone.now())
    delivery()
    assert pause.failures == 0, "it answers again"
    MesEvent.objects.filter(event_type="NOTICE_WEBHOOK").update(status="PENDING")  # as after a worker that died
    work_off()
    [received] = receiver.received.values()
    assert received.deliveries == 2


@pytest.mark.parametrize("fault", ["500", "429", "timeout", "reset", "lost"])
def test_what_may_pass_is_tried_again(start: Start, fault: str) -> None:
    receiver, url = start()
    receiver.switch_on(fault)
    hook(url)
    event = delivery()
    assert (event.status, event.attempts) == ("FAILED", 1)
    webhooks.forget_pauses()
    work_off()
    event.refresh_from_db()
    assert (event.status, event.attempts, len(receiver.received)) == ("COMPLETED", 2, 1)


@pytest.mark.parametrize("fault", ["400", "redirect"])
def test_what_will_not_get_better_is_given_up(start: Start, fault: str) -> None:
    receiver, url = start()
    receiver.switch_on(fault)
    hook(url)
    root = make_user(Role.ADMIN)
    make_rule("OUTBOX_DEAD", roles=[Role.ADMIN])
    hook(url, event="OUTBOX_DEAD")
    event = delivery()
    assert (event.status, receiver.requests, receiver.received) == ("DEAD", 1, {}), "a redirect is not followed"
    for _step in range(3):
        work_off()
    [text] = texts(root)
    assert text.startswith("Given up: A message to a webhook")
    assert len(sent("NOTICE_WEBHOOK")) == 1, "what tells of it goes no way that may be dead"


def test_a_dead_receiver_delays_no_other(start: Start) -> None:
    (dead, dead_url), (_live, live_url) = start(), start()
    dead.faults = ["timeout"] * 100
    hook(dead_url)
    hook(live_url)
    for number in range(10):
        tell(make_notice(f"k{number}"))
    began = time.monotonic()
    work_off()
    assert time.monotonic() - began < 2.5, "each would have taken the whole time-out"
    waiting = list(MesEvent.objects.filter(event_type="NOTICE_WEBHOOK", payload__to=dead_url))
    assert {event.status for event in waiting} == {"FAILED"}
    assert sorted(event.attempts for event in waiting)[:-1] == [0] * 9, "what was not tried is no attempt"
    assert dead.requests <= 2
    alive = MesEvent.objects.filter(event_type="NOTICE_WEBHOOK", payload__to=live_url)
    assert set(alive.values_list("status", flat=True)) == {"COMPLETED"}


def test_one_that_dribbles_costs_one_time_out(start: Start) -> None:
    receiver, url = start()
    receiver.hang = 20
    receiver.switch_on("dribble")
    hook(url)
    began = time.monotonic()
    event = delivery()
    assert time.monotonic() - began < 8
    assert event.status == "FAILED"
    assert webhooks.pause_of(receiver_addresses.read_target(url)).until is not None


def test_an_answer_is_read_in_bounds(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    _receiver, url = start()
    monkeypatch.setattr("demo.erp.Erp.take", lambda *args: (400, {"error": "x" * 1_000_000 + "\x00"}))
    hook(url)
    event = delivery()
    assert (event.status, event.error) == ("DEAD", "HTTP 400"), "what it says is kept nowhere"


@pytest.mark.parametrize("found", [["127.0.0.1"], ["10.0.0.7", "127.0.0.1"], ["169.254.169.254"], ["::1"]])
def test_a_name_that_turns_out_to_be_this_machine_gets_nothing(
    start: Start, settings: Any, monkeypatch: pytest.MonkeyPatch, found: list[str]
) -> None:
    settings.MES_WEBHOOK_LOCAL = False
    receiver, url = start()
    port = url.split(":")[2].split("/")[0]
    places = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, int(port))) for address in found]
    monkeypatch.setattr(receiver_addresses.socket, "getaddrinfo", lambda *args, **kwargs: places)
    hook(f"http://inner.example:{port}/")
    settings.MES_WEBHOOK_LOCAL = False
    event = delivery()
    assert (event.status, receiver.requests) == ("DEAD", 0)
    assert "Nothing is sent to" in event.error


def test_the_connection_goes_to_the_address_that_was_checked(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked once, the name says this; asked again, it would say something else."""
    receiver, url = start()
    port = int(url.split(":")[2].split("/")[0])
    answers = iter(["127.0.0.1", "169.254.169.254"])
    real = socket.getaddrinfo

    def resolve(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host != "chat.example":
            return real(host, *args, **kwargs)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

    hosts, take = [], erp.Handler.do_POST

    def take_with_host(self: Any) -> None:
        hosts.append(self.headers["Host"])
        take(self)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(erp.Handler, "do_POST", take_with_host)
    hook(f"http://chat.example:{port}/")
    assert (delivery().status, receiver.requests) == ("COMPLETED", 1)
    assert hosts == [f"chat.example:{port}"]


def test_of_several_addresses_the_next_one_is_tried(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    receiver, url = start()
    port = int(url.split(":")[2].split("/")[0])
    monkeypatch.setattr(webhooks, "resolve", lambda target: ["::1", "127.0.0.2", "127.0.0.1"])
    hook(f"http://chat.example:{port}/")
    assert (delivery().status, receiver.requests) == ("COMPLETED", 1)


def test_a_name_that_there_is_not_is_tried_again(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(receiver_addresses.socket, "getaddrinfo", fail)
    hook("https://nowhere.example/")
    event = delivery()
    assert event.status == "FAILED" and "Name or service not known" in event.error


def test_switched_off_nothing_waits(start: Start, settings: Any) -> None:
    receiver, url = start()
    hook(url)
    settings.MES_WEBHOOK_SECRET = ""
    event = delivery()
    assert (event.status, receiver.requests) == ("COMPLETED", 0)


def test_what_a_dead_receiver_left_lying_is_sent_no_more(start: Start, settings: Any) -> None:
    receiver, url = start()
    hook(url)
    tell(make_notice())
    event = sent("NOTICE_WEBHOOK")[-1]
    MesEvent.objects.filter(pk=event.pk).update(occurred_at=timezone.now() - settings.MES_NOTICE_AGE)
    webhooks.pause_of(receiver_addresses.read_target(url)).begin()
    work_off()
    event.refresh_from_db()
    assert (event.status, receiver.requests) == ("COMPLETED", 0), "a pause is no reason to keep it"


def have_tried_again(event: MesEvent, age: timedelta) -> None:
    """Have an event that is old and was given up tried again by a person."""
    MesEvent.objects.filter(pk=event.pk).update(status="DEAD", occurred_at=timezone.now() - age)
    dead_letters.retry(event_id=event.pk, by="ada")
    work_off()
    event.refresh_from_db()


def test_what_a_person_has_tried_again_is_sent_however_old(start: Start, settings: Any) -> None:
    receiver, url = start()
    receiver.switch_on("500")
    hook(url)
    event = delivery()
    have_tried_again(event, 3 * settings.MES_NOTICE_AGE)
    assert (event.status, len(receiver.received)) == ("COMPLETED", 1)
    settings.MES_WEBHOOK_SECRET = ""
    have_tried_again(event, 3 * settings.MES_NOTICE_AGE)
    assert (event.status, event.error) == ("DEAD", "It was not sent: its way is not set up.")
    MesEvent.objects.filter(pk=event.pk).update(status="PENDING", retried_at=timezone.now() - settings.MES_NOTICE_AGE)
    settings.MES_WEBHOOK_SECRET = "secret"
    work_off()
    event.refresh_from_db()
    assert (event.status, receiver.requests) == ("COMPLETED", 2), "that, too, is a day ago"


@pytest.mark.parametrize(
    ("host", "is_trusted", "said"),
    [("chat.example", True, ""), ("chat.example", False, "self-signed"), ("talk.example", True, "doesn't match")],
    ids=["of a trusted authority", "of itself alone", "of another name"],
)
def test_what_is_said_over_tls_is_said_to_whom_it_is_meant_for(
    start: Start, monkeypatch: pytest.MonkeyPatch, host: str, *, is_trusted: bool, said: str
) -> None:
    if is_trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    receiver, url = start(CERTIFICATE)
    monkeypatch.setattr(webhooks, "resolve", lambda target: ["127.0.0.1"])
    hook(url.replace("127.0.0.1", host))
    event = delivery()
    assert (event.status, receiver.requests) == (("FAILED", 0) if said else ("COMPLETED", 1))
    assert said in event.error


def test_what_waits_is_due_one_by_one(start: Start) -> None:
    _receiver, url = start()
    hook(url)
    until = webhooks.pause_of(receiver_addresses.read_target(url)).begin()
    for number in range(5):
        tell(make_notice(f"k{number}"))
    work_off()
    due = sorted(event.next_attempt_at for event in sent("NOTICE_WEBHOOK"))
    assert {later - at for at, later in pairwise(due)} == {webhooks.SPACING} and due[0] >= until


def test_pauses_of_few_receivers_are_remembered(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "MOST_PAUSES", 2)
    targets = [receiver_addresses.read_target(f"http://r{number}.example/") for number in range(3)]
    first, *others = [webhooks.pause_of(target) for target in targets]
    assert [webhooks.pause_of(target) for target in targets[1:]] == others
    assert webhooks.pause_of(targets[0]) is not first


def test_who_looks_into_the_outbox_sees_no_address(start: Start, client: Any) -> None:
    hook("https://chat.example:8443/hook/secret?token=secret")
    make_rule(channels=["MAIL"])
    make_user(Role.QUALITY, email="secret@plant.example")
    tell(make_notice())
    MesEvent.objects.update(status="DEAD")  # which the operations show
    client.force_login(make_user(Role.ADMIN))
    shown = client.get("/api/events")
    places = {item["eventType"]: item["payload"].get("to") for item in shown.json()["data"]["items"]}
    assert (places["NOTICE_WEBHOOK"], places["NOTICE_MAIL"]) == ("https://chat.example:8443/…", "…")
    pages = [client.get(reverse("admin:mes_mesevent_change", args=[event.pk])) for event in MesEvent.objects.all()]
    operations = client.get(reverse("operations"))
    assert "https://chat.example:8443/…" in operations.content.decode()
    for page in (shown, operations, *pages):
        assert page.status_code == 200 and "secret" not in page.content.decode()


@pytest.mark.parametrize(
    ("host", "is_fine"),
    [
        ("64:ff9b::10.0.0.7", True),
        ("64:ff9b::169.254.169.254", False),
        ("64:ff9b::127.0.0.1", False),
        ("::169.254.169.254", False),
        ("::ffff:169.254.169.254", False),
        ("2002:a9fe:a9fe::1", False),
        ("64:ff9b:1::1", False),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", False),
        ("::1", False),
        ("::", False),
        ("fd00::7", True),
        ("2001:db8::7", True),
    ],
)
def test_an_address_is_what_it_leads_to(host: str, is_fine: bool) -> None:
    assert receiver_addresses.is_allowed(ipaddress.ip_address(host)) == is_fine
