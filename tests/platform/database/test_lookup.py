from functools import partial

import pytest

from mes import errors
from mes.plant.models import Line, Station
from mes.platform.database.lookup import get_or_raise
from tests.factories import make_line, make_station


def test_the_row_is_found_in_one_statement(db, django_assert_num_queries) -> None:
    line = make_line()
    with django_assert_num_queries(1):
        assert get_or_raise(Line.objects, errors.LineNotFound, code=line.code) == line


def test_a_query_set_of_values_gives_its_values(db) -> None:
    line = make_line()
    names = Line.objects.values_list("name", flat=True)
    assert get_or_raise(names, errors.LineNotFound, code=line.code) == line.name


def test_the_first_of_several_rows_counts(db) -> None:
    for code in ("A", "B"):
        make_station(code, name="Printer")
    stations = Station.objects.order_by("-code")
    assert get_or_raise(stations, errors.StationNotFound, name="Printer").code == "B"


def test_no_row_is_refused_with_what_was_looked_for(db) -> None:
    with pytest.raises(errors.LineNotFound) as refusal:
        get_or_raise(Line.objects, errors.LineNotFound, code="SMT-Z")
    assert refusal.value.details == {"code": "SMT-Z"}


def test_a_refusal_may_say_more(db) -> None:
    with pytest.raises(errors.NotBound) as refusal:
        get_or_raise(Line.objects, partial(errors.NotBound, line="SMT-A"), name="Reflow")
    assert refusal.value.details == {"code": "Reflow", "line": "SMT-A"}
