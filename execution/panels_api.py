"""Panels over HTTP: registered with their boards, and parted."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from execution import panels
from execution.models import Carrier
from execution.panels import Board, Label, Panel
from mes.platform.accounts.permissions import StationAccess, operator_name
from mes.platform.accounts.roles import Capability
from mes.platform.http.serializers import CodeField, StrictSerializer, read
from mes.platform.inbound.sender import sender_of
from mes.production.fields import SerialNumberField

LAST_POSITION = 1000


class BoardRequest(StrictSerializer):
    """A place of a panel."""

    position = serializers.IntegerField(min_value=1, max_value=LAST_POSITION)
    sn = SerialNumberField(required=False, allow_null=True, help_text="Its label; without one yet, left out.")
    xOut = serializers.BooleanField(required=False, help_text="A bad place: there is no unit.")


class PanelRequest(StrictSerializer):
    """A panel with its boards."""

    panelNo = CodeField()
    boards = serializers.ListField(child=BoardRequest(), min_length=1, max_length=LAST_POSITION)


class PanelsRequest(StrictSerializer):
    """Panels to register."""

    panels = serializers.ListField(child=PanelRequest(), min_length=1, max_length=panels.MOST_PANELS)


class PlacedBoard(serializers.Serializer):
    """A board and its place."""

    position = serializers.IntegerField(allow_null=True)
    sn = serializers.CharField()


class PanelAnswer(serializers.Serializer):
    """What a panel carries."""

    panelNo = serializers.CharField()
    boards = PlacedBoard(many=True)


class PanelsAnswer(serializers.Serializer):
    """What a registration did."""

    runNo = serializers.CharField()
    panels = PanelAnswer(many=True)
    registered = serializers.ListField(child=serializers.CharField(), help_text="The serial numbers that are new.")


class LabelRequest(StrictSerializer):
    """The label of a board."""

    position = serializers.IntegerField(min_value=1, max_value=LAST_POSITION)
    sn = SerialNumberField()


class DepanelRequest(StrictSerializer):
    """The labels that boards get. Those that are not named keep the serial numbers that they have."""

    boards = serializers.ListField(child=LabelRequest(), max_length=LAST_POSITION)


class DepanelAnswer(serializers.Serializer):
    """The boards that the panel held."""

    carrierNo = serializers.CharField()
    boards = PlacedBoard(many=True)


class PanelViewSet(GenericViewSet):
    """Panels."""

    queryset = Carrier.objects.none()
    serializer_class = PanelsAnswer
    capabilities = {"register": (Capability.UNITS,), "depanel": (Capability.TRACK, Capability.INGEST)}
    station_access = {"depanel": StationAccess.OWN}

    @extend_schema(
        summary="Register panels with their boards",
        description="Each board is a unit at its position of the panel, which is a carrier. Without a label it is "
        "called `<panelNo>:<position>` until it gets one; an X-out is no unit and uses no plan. All or nothing; "
        "registering again changes nothing.",
        request=PanelsRequest,
        responses={201: PanelsAnswer, 200: PanelsAnswer},
        examples=[
            OpenApiExample(
                "A panel of three",
                value={
                    "panels": [
                        {
                            "panelNo": "PANEL-7",
                            "boards": [
                                {"position": 1, "sn": "SN-0001"},
                                {"position": 2},
                                {"position": 3, "xOut": True},
                            ],
                        }
                    ]
                },
                request_only=True,
            )
        ],
    )
    def register(self, request: Request, run_no: str) -> Response:
        """Register them."""
        body = read(PanelsRequest, request)
        done = panels.register_panels(
            run_no=run_no, panels=[_panel(panel) for panel in body["panels"]], by=operator_name(request)
        )
        answer = {
            "runNo": done.run.run_no,
            "panels": [
                {"panelNo": panel_no, "boards": _placed((load.position, load.unit.sn) for load in loads)}
                for panel_no, loads in done.panels
            ],
            "registered": list(done.new_sns),
        }
        return Response(answer, status=201 if done.new_sns else 200)

    @extend_schema(
        summary="Part the boards of a panel",
        description="Boards without a label get theirs, and all leave the panel; `<panelNo>:<position>` finds them for "
        "ever. One that has another label is refused (BOARD_LABELLED). All or nothing.",
        request=DepanelRequest,
        responses=DepanelAnswer,
        examples=[
            OpenApiExample("Two labels", value={"boards": [{"position": 2, "sn": "SN-0002"}]}, request_only=True)
        ],
    )
    def depanel(self, request: Request, carrier_no: str) -> Response:
        """Part them."""
        body = read(DepanelRequest, request)
        given = [Label(str(board["position"]), board["sn"]) for board in body["boards"]]
        boards = panels.depanel(
            carrier_no=carrier_no, given=given, by=operator_name(request), sender=sender_of(request)
        )
        placed = _placed((position, unit.sn) for position, unit in boards)
        return Response({"carrierNo": carrier_no, "boards": placed})


def _panel(body: dict[str, Any]) -> Panel:
    boards = [Board(board["position"], board.get("sn"), board.get("x_out", False)) for board in body["boards"]]
    return Panel(body["panel_no"], boards)


def _placed(boards: Any) -> list[dict[str, Any]]:
    """Return boards by position; one that was loaded at a place that is no number has none."""
    placed = [{"position": int(place) if str(place).isdecimal() else None, "sn": sn} for place, sn in boards]
    return sorted(placed, key=lambda board: board["position"] or 0)
