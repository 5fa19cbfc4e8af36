"""Who sends a message."""

from collections.abc import Collection
from dataclasses import dataclass

from rest_framework.request import Request

from mes.errors import StationNotAllowed
from mes.platform.accounts.permissions import operator_name


@dataclass(frozen=True, slots=True)
class Sender:
    """The name of a sender's token or account, and the codes of the stations that it may speak for: None is all."""

    system: str
    stations: frozenset[str] | None = None

    @property
    def is_limited(self) -> bool:
        """Whether it may speak for some stations only."""
        return self.stations is not None

    def check_station(self, code: str) -> None:
        """Raise StationNotAllowed for a station that the sender may not speak for."""
        if self.stations is not None and code not in self.stations:
            raise StationNotAllowed(station=code, stations=sorted(self.stations))

    def check_stations(self, codes: Collection[str]) -> None:
        """Raise StationNotAllowed unless the sender may speak for all of these. What names none is of no station."""
        for code in codes or (NO_STATION,):
            self.check_station(code)


NO_STATION = "–"  # no token is for it
EVERYWHERE = Sender("", None)


def sender_of(request: Request) -> Sender:
    """Return who sends a request, and which stations its token is for."""
    return Sender(operator_name(request), getattr(request.user, "station_codes", None))
