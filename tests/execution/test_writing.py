"""One statement writes moves: all of a track, and nothing that does not exist."""

from execution import writing
from execution.models import Track


def test_every_column_of_a_track_is_written() -> None:
    written = {*writing._TRACK_TYPES, *writing._CLOSING_TYPES, "id", "unit_id", "created_at"}
    assert written == {field.column for field in Track._meta.concrete_fields}
