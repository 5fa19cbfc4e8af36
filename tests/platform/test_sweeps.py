"""A bad row stops no other, wherever it lies and however many there are, and a sweep that had one has failed."""

from collections.abc import Iterable

import pytest
from django.db import InterfaceError, OperationalError, connection, transaction

from mes.plant.models import Line
from mes.platform.sweeps import Sweep, SweepIncomplete, describe_error
from tests.factories import make_line


def sweep_in_batches(rows: int, bad: Iterable[int], *, size: int, **limits: int) -> tuple[list[int], list[int], str]:
    """Sweep numbered rows of which some fail; return (rows done, sizes of the batches, what failed)."""
    left, bad, sizes = list(range(rows)), set(bad), []
    sweep = Sweep("numbers")
    done: list[int] = []
    for batch in sweep.batches(size=size, **limits):
        with batch:
            batch.keys = [row for row in left if row not in batch.excluded][: batch.size]
            sizes.append(len(batch.keys))
            for row in batch.keys:
                if row in bad:
                    raise ValueError(f"no {row}")
            done += batch.keys
            left = [row for row in left if row not in batch.keys]
    return sorted(done), sizes, sweep.describe()


def test_a_bad_row_is_found_by_halves_and_the_batches_grow_again() -> None:
    done, sizes, failed = sweep_in_batches(100, [10], size=16)
    assert done == [row for row in range(100) if row != 10]
    assert failed == "10: ValueError: no 10"
    assert sizes == [16, 8, 4, 2, 1, 1, 2, 4, 8, 16, 16, 16, 16, 10, 0]


@pytest.mark.parametrize("bad", [[0], [99], [0, 1, 2], [49, 50], range(0, 100, 7), range(100), []])
@pytest.mark.parametrize("size", [1, 7, 200])
def test_all_but_the_bad_rows_are_done_each_once(bad: Iterable[int], size: int) -> None:
    done, _sizes, _failed = sweep_in_batches(100, bad, size=size)
    assert done == [row for row in range(100) if row not in set(bad)]


def test_batches_end_where_they_should() -> None:
    assert len(sweep_in_batches(1000, [], size=10, most=5)[1]) == 5
    with pytest.raises(ValueError, match="no 3"):
        sweep_in_batches(100, range(100), size=10, most_bad=3)


def test_a_batch_that_fails_before_it_takes_rows_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        for batch in Sweep("x").batches(size=2):
            with batch:
                raise ZeroDivisionError


def test_leaving_a_sweep_raises_what_failed_and_keeps_an_error_of_its_own() -> None:
    with pytest.raises(SweepIncomplete) as raised, Sweep("rows") as sweep:
        for number in range(30):
            with sweep.row(number):
                raise KeyError(number)
    assert str(raised.value).splitlines()[0] == "0: KeyError: 0"
    assert str(raised.value).endswith("… and 10 more")
    with pytest.raises(ZeroDivisionError), Sweep("rows") as sweep:
        with sweep.row(1):
            raise KeyError
        raise ZeroDivisionError
    with Sweep("rows") as sweep, sweep.row(1):
        pass


@pytest.mark.django_db
def test_rows_before_and_after_one_that_the_database_refuses_are_kept() -> None:
    make_line("B")
    with pytest.raises(SweepIncomplete, match=r"^B: IntegrityError"), Sweep("lines") as sweep:
        for code in "ABC":
            with sweep.row(code), transaction.atomic():
                Line.objects.create(code=code, name=code, process_type="SMT")
    assert set(Line.objects.values_list("code", flat=True)) == {"A", "B", "C"}


@pytest.mark.django_db(transaction=True)
def test_a_lost_connection_ends_the_sweep() -> None:
    """Every other row would fail, too; whoever sweeps waits for the database instead."""
    tried = []
    with pytest.raises((OperationalError, InterfaceError)), Sweep("rows") as sweep:
        for number in range(3):
            with sweep.row(number), connection.cursor() as cursor:
                tried.append(number)
                cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    assert tried == [0]
    connection.close()


def test_an_error_is_described_so_that_it_can_be_stored() -> None:
    assert describe_error(ValueError("a\x00b\ud800")) == "ValueError: ab?"
    assert len(describe_error(ValueError("x" * 10_000))) == 4000
