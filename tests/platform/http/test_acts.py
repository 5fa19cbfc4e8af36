"""Acts of pages: a form is read as the interface reads it, and a refusal stands beside its button, once."""

from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.contrib.messages.storage.fallback import FallbackStorage
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.test import RequestFactory
from rest_framework import serializers

from mes import errors
from mes.errors import DomainError, OrderMade, UnitsNotMovable, ValidationFailed
from mes.platform.http import acts
from mes.platform.http.acts import Act, Field, FieldKind
from mes.platform.http.serializers import StrictSerializer

PLACE = "/orders/WO-1/"


class Body(StrictSerializer):
    planQty = serializers.IntegerField(min_value=1, max_value=100)
    sns = serializers.ListField(child=serializers.CharField(max_length=5), required=False)
    expiresAt = serializers.DateTimeField(required=False)
    reason = serializers.CharField(max_length=500)


FIELDS = (
    Field("planQty", "Quantity", FieldKind.NUMBER, value="7"),
    Field("sns", "Serial numbers", FieldKind.LINES),
    Field("expiresAt", "Until", FieldKind.MOMENT),
    Field("line", "Line", FieldKind.CHOICE, choices=[("", "none"), ("A", "A")]),
    acts.reason_field(),
)
CHANGE = Act("change", "Change", "/change/", fields=FIELDS, at={"ORDER_MADE": "planQty"})


def post(**form: str) -> HttpRequest:
    request = RequestFactory().post("/", form)
    return with_session(request, {})


def with_session(request: HttpRequest, session: Any) -> HttpRequest:
    request.session = session
    request._messages = FallbackStorage(request)  # type: ignore[attr-defined]
    return request


def draw(act: Act) -> str:
    return render_to_string("_act.html", {"act": act})


def refused(request: HttpRequest, refusal: DomainError, name: str = "change") -> None:
    def refuse() -> str:
        raise refusal

    assert acts.carry_out(request, refuse, place=PLACE, name=name).url == f"{PLACE}#act-{name}"  # type: ignore[attr-defined]


def test_a_form_is_read_as_the_interface_reads_a_body(settings):
    settings.TIME_ZONE = "Asia/Tokyo"
    form = post(planQty=" 12 ", sns="A\r\nB  C", expiresAt="2026-03-01T08:00", reason=" Why ")
    body = acts.read_form(Body, form, FIELDS)
    assert body["plan_qty"] == 12 and body["sns"] == ["A", "B", "C"] and body["reason"] == "Why"
    assert body["expires_at"].isoformat() == "2026-03-01T08:00:00+09:00"
    assert "sns" not in acts.read_form(Body, post(planQty="1", reason="x", sns=" "), FIELDS)


def test_each_line_of_a_list_of_scans_is_one_whatever_a_label_holds():
    fields = (*FIELDS[:1], Field("sns", kind=FieldKind.SCANS), acts.reason_field())
    body = acts.read_form(Body, post(planQty="1", reason="x", sns="A B\r\n21C\x1d1\n\n"), fields)
    assert body["sns"] == ["A B", "21C\x1d1"]


@pytest.mark.parametrize(
    ("form", "fields"),
    [
        ({"planQty": "1"}, {"reason"}),
        ({"planQty": "1", "reason": "  "}, {"reason"}),
        ({"planQty": "many", "reason": "x"}, {"planQty"}),
        ({"planQty": "-3", "reason": "x"}, {"planQty"}),
        ({"planQty": "0", "reason": "x"}, {"planQty"}),
        ({"planQty": "1", "reason": "x" * 501}, {"reason"}),
        ({"planQty": "1", "reason": "x", "sns": "A TOO-LONG"}, {"sns"}),
        ({"planQty": "1", "reason": "x", "expiresAt": "soon"}, {"expiresAt"}),
    ],
)
def test_what_the_interface_refuses_a_form_refuses_at_the_field(form: dict[str, str], fields: set[str]):
    with pytest.raises(ValidationFailed) as refusal:
        acts.read_form(Body, post(**form), FIELDS)
    assert set(refusal.value.details) == fields
    assert all(isinstance(text, str) and text for text in refusal.value.details.values())


def test_harm_wants_a_tick():
    fields = (*FIELDS, acts.confirmation("No unit of it will be made."))
    with pytest.raises(ValidationFailed) as refusal:
        acts.read_form(Body, post(planQty="1", reason="x"), fields)
    assert list(refusal.value.details) == ["confirm"]
    assert acts.read_form(Body, post(planQty="1", reason="x", confirm="1"), fields)["plan_qty"] == 1


def test_a_refusal_stands_beside_its_button_once_with_what_was_typed():
    request = post(planQty="3", reason="Fewer <b>needed</b>")
    refused(request, OrderMade(order="WO-1", count=2))
    other = Act("cancel", "Cancel", "/cancel/")
    assert acts.with_refusal(request, [other], place="/orders/WO-2/") == [other]  # another page's
    first, told = acts.with_refusal(request, [other, CHANGE], place=PLACE)
    assert first == other and told.refusal.code == "ORDER_MADE"
    page = draw(told)
    assert " open>" in page and "has 2 unit(s) made" in page and 'value="3"' in page and 'aria-invalid="true"' in page
    assert "Fewer &lt;b&gt;needed" in page
    assert acts.with_refusal(request, [CHANGE], place=PLACE) == [CHANGE]  # told once


def test_what_is_malformed_is_told_at_its_field():
    request = post(planQty="x")
    refused(request, ValidationFailed({"planQty": "Must be a whole number.", "reason": "This field is required."}))
    [told] = acts.with_refusal(request, [CHANGE], place=PLACE)
    page = draw(told)
    assert page.count('aria-invalid="true"') == 2 and page.count("autofocus") == 1
    assert "see what is marked above" in page and page.count("Must be a whole number.") == 1


def test_a_fault_of_a_field_that_is_not_there_is_told_beside_the_button():
    request = post(planQty="1")
    refused(request, ValidationFailed({"planQty": "Wrong.", "elsewhere": "Also wrong."}))
    [told] = acts.with_refusal(request, [CHANGE], place=PLACE)
    assert "Also wrong." in draw(told)


def test_units_that_cannot_be_moved_are_named_with_why():
    request = post(sns="SN-1")
    refused(request, UnitsNotMovable(count=1, units=[{"sn": "SN-1", "code": "UNIT_SCRAPPED"}]))
    [told] = acts.with_refusal(request, [CHANGE], place=PLACE)
    assert 'data-fault-of="SN-1" data-why="is scrapped"' in draw(told)


def test_every_fault_of_a_unit_that_has_words_is_a_code():
    codes = {
        refusal.code for refusal in vars(errors).values() if isinstance(refusal, type) and hasattr(refusal, "code")
    }
    assert set(acts.FAULTS) <= codes


def test_a_button_with_hidden_fields_alone_is_just_a_button():
    act = Act("activate-7", "Make active", "/x/", fields=(Field("runNo", kind=FieldKind.HIDDEN, value="RUN-1"),))
    assert act.is_plain and '<input type="hidden" name="runNo" value="RUN-1">' in draw(act)


def test_where_it_is_put_right_has_a_link():
    ways = {"ORDER_MADE": [("Complete it", "#act-complete")]}
    act = Act("cancel", "Cancel", "/cancel/", fields=(acts.reason_field(),), ways=ways)
    request = post(reason="x")
    refused(request, OrderMade(order="WO-1", count=2), name="cancel")
    [told] = acts.with_refusal(request, [act], place=PLACE)
    assert '<a class="button" href="#act-complete">Complete it</a>' in draw(told)


def test_the_refusal_of_what_is_no_longer_offered_is_a_message():
    request = post(reason="x")
    refused(request, OrderMade(order="WO-1", count=2), name="cancel")
    assert acts.with_refusal(request, [CHANGE], place=PLACE) == [CHANGE]
    assert "has 2 unit(s) made" in str(next(iter(get_messages(request))))


def test_what_is_done_is_said_on_the_page():
    request = post()
    answer = acts.carry_out(request, lambda: "It is cancelled.", place=PLACE, name="cancel")
    assert answer.url == PLACE  # type: ignore[attr-defined]
    assert [str(message) for message in get_messages(request)] == ["It is cancelled."]


@pytest.mark.parametrize(("act", "is_plain"), [(Act("resume", "Resume", "/r/"), True), (CHANGE, False)])
def test_what_asks_nothing_is_just_a_button(act: Act, is_plain: bool):
    assert ("<details" not in draw(act)) is is_plain


def test_every_kind_of_field_has_a_label():
    fields = [Field(kind.value, f"Field {kind.value}", kind, choices=(("a", "A"),)) for kind in FieldKind]
    page = draw(Act("all", "All", "/all/", fields=fields))
    for kind in FieldKind:
        if kind is not FieldKind.HIDDEN:
            assert f'id="all-{kind.value}"' in page
            assert f"Field {kind.value}" in page
