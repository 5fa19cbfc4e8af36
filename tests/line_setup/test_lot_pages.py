"""The page of a lot: what it says, what may be done there, and by whom; its list, and that a scan finds it."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.test import Client
from django.utils import timezone

from mes.line_setup.lots import services
from mes.line_setup.lots.page_acts import LOT_ACTS
from mes.line_setup.lots.services import Who
from mes.line_setup.models import LotEvent, MaterialLot
from mes.plant.models import Material
from mes.platform.accounts.roles import Role
from tests.bad_input.nasty import FORM_VALUES, part_of
from tests.bad_input.pages import encode
from tests.factories import make_user

PAGE = "/material-lots/R-1/"
STATEMENTS = 8  # the person twice, the lot, its floor life, places, events, splits, the line of notices


@pytest.fixture
def lot(db: None) -> MaterialLot:
    material = Material.objects.create(code="IC-1", name="Controller", msl="3", body_thickness_mm=Decimal("1.4"))
    return services.register("R-1", {"material": material, "quantity": Decimal(500), "supplier_lot": "L26"})


def browser(role: Role) -> Client:
    client = Client()
    client.force_login(make_user(role))
    return client


def do(client: Client, name: str, **fields: str) -> str:
    told = {"kind": next((field.value for field in LOT_ACTS[name].build().fields if field.name == "kind"), "")}
    answer = client.post(f"/lot-acts/{name}/R-1/", told | fields, follow=True)
    return str(answer.content.decode())


def test_it_says_what_a_lot_is_and_what_happened(lot):
    services.split("R-1", new_lot_id="R-2", quantity=Decimal(100), who=Who("sue"))
    LotEvent.objects.create(lot=lot, kind="OPENED", at=timezone.now() - timedelta(hours=10), recorded_by="sue")
    html = browser(Role.OPERATOR).get(PAGE).content.decode()
    for said in ("IC-1", "Controller", "400 pcs", "L26", "158 h 0 min", "R-2", "Split", "sue", "It is in no slot."):
        assert said in html, said
    assert "/lot-acts/count/R-1/" in html and "/lot-acts/dry-in/R-1/" in html
    assert "/lot-acts/block/R-1/" not in html  # quality does


def test_an_operator_opens_dries_bakes_counts_and_splits(lot):
    client = browser(Role.OPERATOR)
    for name, state in (("open", "Open"), ("dry-in", "In dry storage"), ("dry-out", "Open"), ("seal", "Sealed")):
        assert f"<dd>{state}</dd>" in do(client, name)
    assert do(client, "open", kind="USED_UP") and not LotEvent.objects.filter(kind="USED_UP").exists()
    do(client, "seal")
    assert "Its bake has begun" in do(client, "bake-start", temperatureC="125")
    assert "Baked" not in do(client, "bake-end")  # for too short a time
    assert "12.5 pcs" in do(client, "count", quantity="12,5")
    assert "R-3" in do(client, "split", newLotId="R-3", quantity="2.5")
    told = ["OPENED", "DRY_IN", "DRY_OUT", "SEALED", "OPENED", "SEALED", "BAKE_START", "BAKE_END", "COUNTED", "SPLIT"]
    assert list(LotEvent.objects.order_by("id").values_list("kind", flat=True)) == told
    assert "has 10 left" in do(client, "split", newLotId="R-4", quantity="11")
    assert "Say how much was counted" in do(client, "count")
    for name in ("block", "unblock", "scrap"):
        assert client.post(f"/lot-acts/{name}/R-1/", {"reason": "x"}).status_code == 403
    assert LotEvent.objects.count() == len(told)


def test_quality_blocks_unblocks_and_scraps(lot):
    client = browser(Role.QUALITY)
    assert "This field is required" in do(client, "block")
    assert "Recall 26" in do(client, "block", reason="Recall 26")
    assert "It may be used again" in do(client, "unblock", reason="Measured")
    assert "Tick this first" in do(client, "scrap", reason="Wet")
    html = do(client, "scrap", reason="Wet", confirm="1")
    assert "Scrapped" in html and "/lot-acts/" not in html


def test_what_is_unknown_has_a_page_that_says_so(lot):
    client = browser(Role.OPERATOR)
    missing = client.get("/material-lots/NONE/")
    assert missing.status_code == 404 and "There is no lot" in missing.content.decode()
    assert client.post("/lot-acts/open/NONE/").status_code == 404
    assert client.post("/lot-acts/nothing/R-1/").status_code == 404
    MaterialLot.objects.create(lot_id="R-9")
    assert "nobody said what is in it" in client.get("/material-lots/R-9/").content.decode()


@pytest.mark.parametrize("name", LOT_ACTS)
def test_nothing_that_is_typed_breaks_an_act(lot, name):
    client = browser(Role.ADMIN)
    for value in part_of(FORM_VALUES, name).values():
        fields = encode(dict.fromkeys(("kind", "quantity", "temperatureC", "newLotId", "reason", "confirm"), value))
        sent = client.post(f"/lot-acts/{name}/R-1/", fields, content_type="application/x-www-form-urlencoded")
        assert sent.status_code < 500 and client.get(PAGE).status_code == 200


def test_search_and_list_find_it(lot):
    client = browser(Role.OPERATOR)
    assert client.get("/trace/", {"q": "R-1"}).headers.get("Location") == PAGE
    assert PAGE in client.get("/lists/material-lots/?q=R").content.decode()


def test_the_page_takes_a_fixed_number_of_statements(lot, django_assert_num_queries):
    client = browser(Role.OPERATOR)
    client.get(PAGE)
    with django_assert_num_queries(STATEMENTS):
        client.get(PAGE)
    for number in range(9):
        services.split("R-1", new_lot_id=f"R-1-{number}", quantity=Decimal(1), who=Who("sue"))
    with django_assert_num_queries(STATEMENTS):
        client.get(PAGE)
