"""Sources over HTTP: the systems that report, and how to read the times that they say."""

from typing import Any

from rest_framework import serializers

from ingest.source_clocks import measure_clocks
from mes import errors
from mes.platform.accounts.permissions import READS_SHARED
from mes.platform.accounts.roles import Capability
from mes.platform.http.master_data import FixedFieldsMixin, OptionalTextField, describe
from mes.platform.http.serializers import IdField, StrictModelSerializer
from mes.platform.http.viewsets import CodeModelViewSet
from mes.platform.inbound.models import LARGEST_CORRECTION, Source


class SourceSerializer(FixedFieldsMixin, StrictModelSerializer):
    """A system that reports."""

    id = IdField()
    timeZone = OptionalTextField(max_length=64, help_text="Of times without an offset: a name of the IANA database.")
    clockCorrectionSeconds = serializers.FloatField(
        required=False,
        min_value=-LARGEST_CORRECTION,
        max_value=LARGEST_CORRECTION,
        help_text="By how much its clock is ahead; negative if it is behind. Subtracted from every time it says.",
    )

    clockOffsetSeconds = serializers.SerializerMethodField(
        help_text="The largest of said − received of its last 100 machine events: by how much its clock is ahead at "
        "least. Null where none said a time."
    )

    class Meta:
        model = Source
        fields = ("id", "code", "timeZone", "clockCorrectionSeconds", "clockOffsetSeconds")

    def get_clockOffsetSeconds(self, source: Source) -> float | None:
        """Measure the clocks of all that are shown, at the first of them."""
        context: Any = self.context
        if "measured" not in context:
            shown: Any = self.root.instance
            codes = [one.code for one in shown] if isinstance(shown, list) else [source.code]
            context["measured"] = measure_clocks(codes)
        measured = context["measured"].get(source.code)
        return None if measured is None else round(measured.offset_seconds, 3)


@describe(
    "source",
    "sources",
    example={"code": "AOI-1", "timeZone": "Europe/Berlin", "clockCorrectionSeconds": -3600},
    change={"clockCorrectionSeconds": 0},
    note="A system that sends machine events or device data: `code` is the `sourceSystem` of what it sends. What it "
    "says is corrected from then on, also in replays; another process follows within seconds.",
)
class SourceViewSet(CodeModelViewSet):
    """Systems that report."""

    queryset = Source.objects.all()
    serializer_class = SourceSerializer
    not_found = errors.SourceNotFound
    capabilities = {"*": (Capability.MASTER_DATA,)}
    station_access = READS_SHARED
    search_fields = ("code",)
