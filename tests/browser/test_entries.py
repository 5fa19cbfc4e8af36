"""What people enter at a station is kept in the browser until it is answered: nothing is lost, nothing doubled."""

import re
from contextlib import suppress
from functools import partial
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.utils.dateparse import parse_datetime
from playwright.sync_api import BrowserContext, Page, Route, expect
from playwright.sync_api import Error as BrowserError

from execution import tracking
from execution.models import Track
from integration.dismissing import dismiss
from integration.models import FailedMessage
from mes.errors import DomainError
from mes.platform.accounts.roles import Role
from mes.platform.inbound.models import IdempotencyKey
from mes.platform.inbound.sender import Sender
from mes.platform.outbox.models import MesEvent
from mes.production.models import Unit
from tests.browser.conftest import enter
from tests.browser.station_support import STATION, fill, make_hand_station, says
from tests.factories import Plant, make_plant, make_user

SCRIPT = Path(settings.BASE_DIR) / "static" / "entries.js"
MOVES = "**/api/stations/**"
UNITS = 5
# As a page on plain http: neither locks nor random ids.
PLAIN = "delete Navigator.prototype.locks; delete Crypto.prototype.randomUUID;"
HEARD = """
    window.heard = [];
    for (const name of ["entry-answered", "entry-refused", "entries-offline", "entries-online"])
      document.addEventListener(name, (event) => heard.push([name, event.detail]));
"""


@pytest.fixture
def plant(transactional_db: None) -> Plant:
    return make_plant(units=UNITS)


@pytest.fixture
def tab(context: BrowserContext, plant: Plant) -> Page:
    """A page of somebody who is signed in, with the script and what it tells."""
    return open_tab(context)


def open_tab(context: BrowserContext, *, plain: bool = False) -> Page:
    context.add_init_script(f"if (window === top) {{ {PLAIN if plain else ''} {HEARD} {SCRIPT.read_text()} }}")
    page = context.new_page()
    page.goto("/account/")
    enter(page, make_user(Role.OPERATOR, username="mia").get_username())
    page.wait_for_url("**/account/")
    return page


def add(page: Page, sn: str, kind: str = "track-in", station: str = "SMT-01", **body: Any) -> str:
    """Make an entry; return its id."""
    given = {"stationCode": station, "kind": kind, "sn": sn, "body": body, "operatorId": "Mia"}
    entry_id: str = page.evaluate("entry => entries.add(entry)", given)
    return entry_id


def pass_through(page: Page, sn: str) -> list[str]:
    return [add(page, sn), add(page, sn, "track-out", result="PASS")]


def listed(page: Page) -> list[tuple[str, str, str]]:
    """Return serial number, kind and state of what is kept."""
    entries = page.evaluate("entries.list('SMT-01')")
    return [(entry["sn"], entry["kind"], entry["state"]) for entry in entries]


def heard(page: Page, name: str) -> list[dict[str, Any]]:
    return [detail for told, detail in page.evaluate("heard") if told == name]


def wait_until(page: Page, condition: str) -> None:
    """Wait for a condition of what is `kept`, over pages that come meanwhile."""
    for _turn in range(200):
        with suppress(BrowserError):
            if page.evaluate(f"entries.list().then((kept) => {condition})"):
                return
        page.wait_for_timeout(50)
    raise AssertionError(f"{condition}: {page.evaluate('entries.list()')}")


def wait_for_reason(page: Page, reason: str) -> None:
    """Wait until it is said why entries wait."""
    wait_until(page, f"entries.status()?.reason === '{reason}'")


def settled(page: Page) -> None:
    wait_until(page, "kept.every((entry) => entry.state === 'REFUSED')")


def cut(context: BrowserContext) -> None:
    context.route(MOVES, lambda route: route.abort())


def mend(context: BrowserContext, page: Page) -> None:
    context.unroute(MOVES)
    page.evaluate("dispatchEvent(new Event('online'))")


@pytest.mark.parametrize("plain", [False, True], ids=["with locks", "on plain http"])
def test_ten_entries_made_while_the_network_is_cut(context: BrowserContext, plant: Plant, plain: bool) -> None:
    """The tab is reloaded meanwhile, a second one is open, and later the answers of four are lost that were done."""
    page = open_tab(context, plain=plain)
    other = context.new_page()
    other.goto("/account/")
    sent: list[str] | None = None

    def pass_on(route: Route) -> None:
        """Nothing while the network is cut; then all but the first answers to four."""
        if sent is None:
            route.abort()
            return
        entry_id = route.request.post_data_json["entryId"]
        is_lost = entry_id not in sent and ids.index(entry_id) in (0, 3, 4, 9)
        sent.append(entry_id)
        answer = route.fetch()
        route.abort() if is_lost else route.fulfill(response=answer)

    context.route(MOVES, pass_on)
    ids = [entry_id for sn in plant.sns for entry_id in pass_through(page, sn)]
    for each in (page, other):
        wait_until(each, "entries.status()?.waiting === 10 && entries.status().reason === 'NETWORK'")
    page.reload()
    assert [sn for sn, _kind, _state in listed(page)] == [sn for sn in plant.sns for _each in range(2)]
    sent = []
    while page.evaluate("entries.list()"):
        page.evaluate("dispatchEvent(new Event('online'))")  # or by itself, after a while
        page.wait_for_timeout(100)
    assert len(sent) == 10 + 4
    assert list(dict.fromkeys(sent)) == ids
    assert Track.objects.filter(result="PASS").count() == Track.objects.count() == UNITS
    assert set(Unit.objects.values_list("current_step_no", flat=True)) == {20}
    moves = list(MesEvent.objects.filter(event_type__startswith="TRACK_").order_by("id"))
    assert [event.event_type for event in moves] == ["TRACK_IN", "TRACK_OUT"] * UNITS
    times = [at for track in Track.objects.order_by("id") for at in (track.in_at, track.out_at)]
    assert all(earlier < later for earlier, later in pairwise(times))
    assert set(Track.objects.values_list("operator_in", "in_by")) == {("Mia", "mia")}
    assert IdempotencyKey.objects.filter(channel="station-entry").count() == 10
    assert not FailedMessage.objects.exists()
    told = heard(page, "entry-answered")
    assert {detail["entryId"] for detail in told} == set(ids)
    assert heard(other, "entry-answered") == told
    assert told[-1]["answer"]["nextStepNo"] == 20
    assert page.evaluate("entries.status()") is None


def test_one_that_is_refused_waits_for_a_person_and_keeps_nobody_else(tab: Page) -> None:
    [refused, after] = [add(tab, "SN-1", "track-out", result="FAIL"), add(tab, "SN-1")]
    pass_through(tab, "SN-2")
    settled_others = "kept.length === 2 && kept[0].state === 'REFUSED'"
    wait_until(tab, settled_others)
    assert listed(tab) == [("SN-1", "track-out", "REFUSED"), ("SN-1", "track-in", "WAITING")]
    [told] = heard(tab, "entry-refused")
    assert (told["entryId"], told["error"]["code"]) == (refused, "UNIT_NOT_IN_STATION")
    assert told["error"]["details"]["held"] == ["SN-1"]
    assert (FailedMessage.objects.get().dedupe_key, Unit.objects.get(sn="SN-1").status) == (refused, "ON_HOLD")
    tab.reload()
    assert tab.evaluate("entries.list('SMT-01').then(([first]) => first.error.code)") == "UNIT_NOT_IN_STATION"
    assert tab.evaluate("id => entries.settle(id)", after) is False
    assert tab.evaluate("id => entries.settle(id)", refused) is True
    settled(tab)
    assert [(sn, state) for sn, _kind, state in listed(tab)] == [("SN-1", "REFUSED")]  # it is held
    Unit.objects.filter(sn="SN-1").update(status="QUEUED", held_from="")
    assert tab.evaluate("id => entries.retry(id)", after) is True
    wait_until(tab, "kept.length === 0")
    assert Unit.objects.get(sn="SN-1").status == "IN_STATION"


@pytest.mark.parametrize("why", ["the session ended", "the person was deactivated"])
def test_what_nobody_may_send_waits_until_somebody_has_signed_in(context: BrowserContext, tab: Page, why: str) -> None:
    """Then another person signs in."""
    if why == "the session ended":
        context.clear_cookies()
    else:
        User.objects.filter(username="mia").update(is_active=False)
    add(tab, "SN-1")
    wait_for_reason(tab, "SIGN_IN")
    wait_until(tab, "kept.length === 1 && kept[0].state === 'WAITING'")  # it may be tried once more
    assert not FailedMessage.objects.exists()
    tab.goto("/account/")
    enter(tab, make_user(Role.OPERATOR, username="ben").get_username())
    tab.wait_for_url("**/account/")
    wait_until(tab, "kept.length === 0")
    assert Track.objects.values_list("operator_in", "in_by").get() == ("Mia", "ben")


def test_what_was_dismissed_meanwhile_is_not_told_as_done(context: BrowserContext, tab: Page) -> None:
    """Its refusal got lost, and an engineer dismissed it before it came again."""
    context.route(MOVES, lambda route: (route.fetch(), route.abort()))
    entry_id = add(tab, "SN-1", "track-out", result="PASS")
    wait_for_reason(tab, "NETWORK")
    dismiss(message_id=FailedMessage.objects.get().pk, reason="another board", sender=Sender("engineer"))
    mend(context, tab)
    settled(tab)
    [told] = heard(tab, "entry-refused")
    assert (told["entryId"], told["error"]["code"]) == (entry_id, "DISMISSED")
    assert "not recorded" in told["error"]["message"]
    assert heard(tab, "entry-answered") == []


ANSWERS = {
    "busy": (503, '{"ok": false, "error": {"code": "TRY_AGAIN", "message": "…", "details": {}}}', "BUSY"),
    "too many": (429, '{"ok": false, "error": {"code": "TOO_MANY_REQUESTS", "message": "…", "details": {}}}', "BUSY"),
    "a gateway": (502, "<html>Bad gateway</html>", "NETWORK"),
    "a portal": (200, "<html>Welcome to our Wi-Fi</html>", "NETWORK"),
    "a redirect": (302, "", "NETWORK"),
}


def test_what_is_no_answer_of_the_server_refuses_nothing(context: BrowserContext, tab: Page, plant: Plant) -> None:
    for number, (status, body, reason) in enumerate(ANSWERS.values()):
        given: dict[str, Any] = {
            "status": status,
            "body": body,
            "headers": {"Location": "/sign-in/"} if status == 302 else {},
        }
        context.route(MOVES, partial(Route.fulfill, **given))
        add(tab, plant.sns[number])
        wait_for_reason(tab, reason)
        assert listed(tab) == [(plant.sns[number], "track-in", "WAITING")]
        mend(context, tab)
        wait_until(tab, "kept.length === 0 && entries.status() === null")
        assert Track.objects.count() == number + 1


def test_an_entry_that_the_server_stumbles_over_keeps_nobody_else(context: BrowserContext, tab: Page) -> None:
    stumbling = '{"ok": false, "error": {"code": "INTERNAL_ERROR", "message": "…", "details": {}}}'

    def stumble(route: Route) -> None:
        if route.request.post_data_json["sn"] == "SN-1":
            route.fulfill(status=500, body=stumbling)
        else:
            route.continue_()

    context.route(MOVES, stumble)
    add(tab, "SN-1")
    add(tab, "SN-2")
    wait_until(tab, "kept.length === 1 && kept[0].error?.code === 'INTERNAL_ERROR' && kept[0].state === 'WAITING'")
    mend(context, tab)
    wait_until(tab, "kept.length === 0")
    assert Track.objects.count() == 2


def test_times_are_the_server_s_however_wrong_the_clock_is(context: BrowserContext, tab: Page) -> None:
    pass_through(tab, "SN-1")
    wait_until(tab, "kept.length === 0")
    tab.evaluate("const real = Date.now; Date.now = () => real() + 3600_000")
    tab.evaluate(
        "entries.heard({headers: new Headers({Date: new Date(Date.now() - 3600_000).toUTCString()})}, Date.now())"
    )
    add(tab, "SN-2")
    wait_until(tab, "kept.length === 0")
    track = Track.objects.get(unit__sn="SN-2")
    said = parse_datetime(track.in_at.isoformat())
    assert said is not None and abs((said - MesEvent.objects.latest("id").created_at).total_seconds()) < 5


def test_a_clock_that_was_put_back_makes_no_time_an_hour_late(tab: Page) -> None:
    tab.evaluate("window.real = Date.now; Date.now = () => real() + 3600_000")
    hear = "entries.heard({headers: new Headers({Date: new Date(real()).toUTCString()})}, Date.now())"
    tab.evaluate(hear)
    pass_through(tab, "SN-1")
    wait_until(tab, "kept.length === 0")
    tab.evaluate(f"Date.now = real; {hear}")
    add(tab, "SN-2")
    wait_until(tab, "kept.length === 0")
    track = Track.objects.get(unit__sn="SN-2")
    assert abs((track.in_at - MesEvent.objects.latest("id").created_at).total_seconds()) < 5


def test_a_blip_with_nothing_waiting_is_over_with_it(context: BrowserContext, tab: Page) -> None:
    context.set_offline(True)
    wait_for_reason(tab, "NETWORK")
    context.set_offline(False)
    wait_until(tab, "entries.status() === null")


def test_entries_of_a_unit_wait_however_its_label_was_read(context: BrowserContext, tab: Page) -> None:
    """Those that follow a track-in are about its track."""
    cut(context)
    add(tab, "]C1SN-1")
    add(tab, "SN-1", "track-out", result="PASS")
    wait_for_reason(tab, "NETWORK")
    bodies: list[dict[str, Any]] = []

    def answer(route: Route) -> None:
        bodies.append(route.request.post_data_json)
        if route.request.url.endswith("track-out"):
            route.continue_()
        else:
            route.continue_(post_data={**bodies[-1], "sn": "SN-1"})

    context.unroute(MOVES)
    context.route(MOVES, answer)
    tab.evaluate("dispatchEvent(new Event('online'))")
    wait_until(tab, "kept.length === 0")
    track = Track.objects.get()
    assert [body.get("trackId") for body in bodies] == [None, str(track.pk)]
    assert track.result == "PASS"


@pytest.mark.parametrize("status", [400, 413])
def test_an_entry_that_never_gets_through_is_given_to_a_person(tab: Page, status: int) -> None:
    """What stands between refuses it, six times; others go on."""
    tab.clock.install()
    tries: list[str] = []

    def pass_on(route: Route) -> None:
        if route.request.post_data_json["sn"] != "SN-1":
            return route.continue_()
        tries.append(route.request.post_data_json["entryId"])
        return route.fulfill(status=status, body="<html>Too large</html>")

    tab.route(MOVES, pass_on)
    entry_id = add(tab, "SN-1")
    add(tab, "SN-2")
    for number in range(1, 6):
        while len(tries) < number:
            tab.wait_for_timeout(20)
        wait_until(tab, "kept.length === 1 && kept[0].state === 'WAITING'")
        tab.clock.fast_forward(20_000)
    settled(tab)
    assert tries == [entry_id] * 6
    [told] = heard(tab, "entry-refused")
    assert told["entryId"] == entry_id
    assert told["error"] == {"code": "NOT_TAKEN", "message": "", "details": {"status": status}}
    assert Track.objects.get().unit.sn == "SN-2"


class Shift:
    """A random hour at a station: entries on a few units, a network that comes and goes, reloads, others at it."""

    def __init__(self, context: BrowserContext, page: Page, plant: Plant, seed: int) -> None:
        self.page, self.sns, self.dice = page, plant.sns[:3], Random(seed)
        self.made: dict[str, tuple[str, str]] = {}  # how what of each entry is found: column and operator
        self.settled: set[str] = set()
        self.ways = ["pass", "lose", "cut"]
        context.route(MOVES, self.pass_on)

    def pass_on(self, route: Route) -> None:
        way = self.dice.choice(self.ways)
        answer = route.fetch() if way != "cut" else None
        route.fulfill(response=answer) if answer and way == "pass" else route.abort()

    def make(self) -> None:
        kind, result = self.dice.choice([("track-in", None), ("track-out", "PASS"), ("track-out", "FAIL")])
        column = "operator_in" if kind == "track-in" else "operator_out"
        person, body = f"person {len(self.made)}", {"result": result} if result else {}
        given = {"stationCode": "SMT-01", "kind": kind, "sn": self.dice.choice(self.sns), "body": body}
        self.made[self.page.evaluate("entry => entries.add(entry)", {**given, "operatorId": person})] = (column, person)

    def reload(self) -> None:
        self.page.reload()

    def settle(self) -> None:
        for entry in self.refused()[:1]:
            assert self.page.evaluate("id => entries.settle(id)", entry["entryId"])
            self.settled.add(entry["entryId"])

    def others(self) -> None:
        sn = self.dice.choice(self.sns)
        with suppress(DomainError):
            tracking.track_in(sn=sn, station_code="SMT-01")
        with suppress(DomainError):
            tracking.track_out(sn=sn, station_code="SMT-01", result="PASS")

    def refused(self) -> list[dict[str, Any]]:
        return [entry for entry in self.page.evaluate("entries.list()") if entry["state"] == "REFUSED"]

    def play(self) -> None:
        for _turn in range(16):
            self.dice.choice([self.make, self.make, self.make, self.reload, self.settle, self.others])()
            self.page.evaluate("dispatchEvent(new Event('online'))")
        self.ways = ["pass"]
        while len(self.refused()) < len(self.page.evaluate("entries.list()")):
            self.settle()
            self.page.evaluate("dispatchEvent(new Event('online'))")
            self.page.wait_for_timeout(50)

    def check(self) -> None:
        open_ids = {entry["entryId"] for entry in self.refused()} | self.settled
        assert open_ids == set(FailedMessage.objects.values_list("dedupe_key", flat=True))
        done = IdempotencyKey.objects.in_bulk([("station-entry", entry_id) for entry_id in self.made])
        for entry_id, (column, person) in self.made.items():
            effects = Track.objects.filter(**{column: person})
            if entry_id in open_ids:
                assert not effects.exists()
            else:
                found = done["station-entry", entry_id].record_id  # a unit that was in already
                assert effects.count() == 1 or (column == "operator_in" and Track.objects.filter(pk=found).exists())


@pytest.mark.parametrize("seed", range(2))
def test_a_random_hour(context: BrowserContext, tab: Page, plant: Plant, seed: int) -> None:
    shift = Shift(context, tab, plant, seed)
    shift.play()
    shift.check()


def test_ten_entries_on_the_page_of_a_station(context: BrowserContext, transactional_db: None) -> None:
    """The network is cut for five boards, the page is reloaded after the third, and of three entries the answer is
    lost: afterwards there are exactly those passes.
    """
    sns = make_hand_station(units=UNITS + 1)
    page = context.new_page()  # not watched: what fails here is meant to
    page.goto(STATION)
    enter(page, make_user(Role.OPERATOR, username="mia").get_username())
    ways = {"cut": False, "lost": 0}

    def pass_on(route: Route) -> None:
        answer = None if ways["cut"] else route.fetch()
        is_lost = ways["cut"] or ways["lost"] > 0
        ways["lost"] -= not ways["cut"]
        route.fulfill(response=answer) if answer and not is_lost else route.abort()

    context.route(re.compile("/api/stations/.*/track-"), pass_on)
    for number, sn in enumerate(sns):
        ways["cut"] = number > 0
        page.locator("#scan").fill(sn)
        page.locator("#scan").press("Enter")
        says(page, "In work, unchecked" if ways["cut"] else "In work", sn)
        fill(page)
        page.keyboard.press("Control+Enter")
        if not ways["cut"]:
            wait_until(page, "kept.length === 0")
        wait_until(page, f"kept.length === {2 * number}")
        if number == 3:
            page.reload()
    expect(page.locator("#offline-waiting")).to_contain_text("10 entries")
    ways.update(cut=False, lost=3)
    page.reload()
    while page.evaluate("entries.list()"):
        page.evaluate("dispatchEvent(new Event('online'))")  # or by itself, after a while
        page.wait_for_timeout(200)
    expect(page.locator("#offline-waiting")).to_be_hidden()
    expect(page.locator("#refused")).to_be_hidden()
    tracks = Track.objects.order_by("id").values_list("unit__sn", "result", "attempt")
    assert list(tracks) == [(sn, "PASS", 1) for sn in sns]
    assert not FailedMessage.objects.exists()
    page.close()
