"""The boards of a panel are parted on its page: those without a label get theirs, a refusal stands at its field."""

import pytest
from django.test import Client

from execution import panels
from execution.models import CarrierLoad
from execution.panels import Board, Panel
from mes.platform.accounts.roles import Role
from mes.production.models import Unit
from tests.factories import make_plant
from tests.trace.test_run_acts import read, refused, sign_in

pytestmark = pytest.mark.django_db

PAGE = "/trace/carriers/P-1/"
DEPANEL = "/trace/depanel/P-1/"


@pytest.fixture
def client() -> Client:
    make_plant(units=0)
    boards = [Board(1, "L-1"), Board(2), Board(10), Board(3, is_x_out=True)]
    panels.register_panels(run_no="RUN-1", panels=[Panel("P-1", boards)], by="sue")
    return sign_in(Role.OPERATOR)


def told(client: Client, **labels: str) -> str:
    """Return the page after an attempt."""
    answer = client.post(DEPANEL, {f"board-{name[1:]}": sn for name, sn in labels.items()})
    assert answer.status_code == 302
    return read(client, PAGE)


def test_boards_get_their_labels_and_leave_the_panel(client: Client) -> None:
    page = read(client, PAGE)
    assert page.index("Label of position 2") < page.index("Label of position 10")
    assert "Label of position 1<" not in page and "Label of position 3" not in page
    page = told(client, b2="(21)L-2", b10="L-10")
    assert "3 boards left the carrier." in page and "It is empty." in page and DEPANEL not in page
    assert set(Unit.objects.values_list("sn", flat=True)) == {"L-1", "L-2", "L-10"}
    assert not CarrierLoad.objects.filter(unloaded_at=None).exists()


def test_what_is_wrong_is_said_at_its_field_and_nothing_is_done(client: Client) -> None:
    form = refused(told(client, b2="X", b10="X"), "depanel")
    assert 'id="depanel-board-10-problem"' in form and 'id="depanel-board-2-problem"' not in form
    form = refused(told(client, b2="L-2", b10="X" * 8000), "depanel")
    assert 'id="depanel-board-10-problem"' in form and 'value="L-2"' in form
    assert "L-1" in refused(told(client, b2="L-1"), "depanel")
    assert CarrierLoad.objects.filter(unloaded_at=None).count() == 3
    assert Unit.objects.filter(sn="P-1:2").exists()


def test_who_may_and_what_carries_nothing_to_label(client: Client) -> None:
    told(client, b2="L-2", b10="L-10")
    assert "0 boards left" in told(client)  # again, from a page that is old
    assert DEPANEL not in read(client, PAGE)
    assert sign_in(Role.QUALITY).post(DEPANEL).status_code == 403
    assert client.post("/trace/depanel/NO-1/").status_code == 404
    panels.register_panels(run_no="RUN-1", panels=[Panel("P-2", [Board(1, "M-1"), Board(2, "M-2")])], by="sue")
    assert "Take all off" in read(client, "/trace/carriers/P-2/")
    assert "/trace/depanel/" not in read(sign_in(Role.QUALITY), "/trace/carriers/P-2/")
    client.post("/trace/depanel/P-2/")
    assert "2 boards left the carrier." in read(client, "/trace/carriers/P-2/")
