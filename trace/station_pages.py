"""All stations of a line, or of all: what each does now, for whoever looks after them and for who looks for theirs."""

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from mes.plant.models import Line
from mes.platform.http.pages import show_live, signed_in
from trace.pages import missing
from trace.stations_now import list_stations, load_stations_now


@signed_in
@require_GET
def stations(request: HttpRequest) -> HttpResponse:
    """Show the stations of the line that is chosen, with those that all lines share."""
    lines, code = list(Line.objects.order_by("code")), request.GET.get("line", "")
    chosen = next((line for line in lines if line.code == code), None)
    if code and chosen is None:
        return missing(request, code, _("There is no line “%(code)s”.") % {"code": code})
    shown = load_stations_now(list_stations(chosen))
    context = {"lines": lines, "chosen": chosen, "stations": shown}
    return show_live(request, "stations/stations.html", "stations/_stations_live.html", context)
