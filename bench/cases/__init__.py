"""Every case, in the order in which they run. A new one is a file here and a line below."""

from bench.case import Case
from bench.cases import (
    auto_single,
    device_data_batch,
    device_data_single,
    panel,
    permit,
    reads,
    refused,
    station_entry,
    trace_unit,
    track_out,
)

_ALL = (
    device_data_single.CASE,
    device_data_batch.CASE,
    auto_single.CASE,
    panel.CASE,
    refused.PASSING,
    refused.FAILING,
    permit.PERMIT,
    permit.REFUSED,
    track_out.CASE,
    station_entry.CASE,
    trace_unit.TRACE,
    trace_unit.PAGE,
    reads.QUEUE,
    reads.SCAN,
    reads.LIST,
    reads.RUN,
    reads.ORDERS,
    reads.LINE,
    reads.STATION,
)
CASES: dict[str, Case] = {case.name: case for case in _ALL}
