"""What every operation of the API is to a token that is limited to stations, told by hand.

SHARED: it reads what belongs to no station or line. OWN: it is done for the token's stations, and reads what belongs to
them or their lines. REFUSED: no device at a station needs it.
"""

SHARED = """
GET /api/bom-items
GET /api/bom-items/{id}
GET /api/data-collection-specs
GET /api/data-collection-specs/{id}
GET /api/execution-configs
GET /api/execution-configs/{id}
GET /api/fai-templates
GET /api/fai-templates/{code}
GET /api/ingest/presets
GET /api/materials
GET /api/materials/{code}
GET /api/operations
GET /api/operations/{code}
GET /api/prep-policies
GET /api/prep-policies/{id}
GET /api/routes
GET /api/routes/{code}
GET /api/routes/{code}/execution-config
GET /api/routes/{code}/versions
GET /api/routes/{code}/versions/{no}
POST /api/scans/read
GET /api/solder-paste-lots
GET /api/sources
GET /api/sources/{code}
GET /api/station-groups
GET /api/station-groups/{code}
GET /api/stencils
GET /api/stencils/{stencil_id}
GET /api/time-rules
GET /api/time-rules/{id}
"""

OWN = """
POST /api/carriers/{carrier_no}/load
POST /api/carriers/{carrier_no}/unload
GET /api/equipment
GET /api/equipment/{code}
GET /api/fai
GET /api/fai/{id}
GET /api/ingest/events
POST /api/ingest/events
POST /api/ingest/events/batch
GET /api/ingest/events/{id}
POST /api/ingest/events/{id}/replay
GET /api/integration/device-data
POST /api/integration/device-data
POST /api/integration/device-data/batch
POST /api/integration/equipment-status
POST /api/integration/inspection-result
GET /api/integration/lines/{code}/set-up
POST /api/integration/lines/{code}/solder-paste/bind
POST /api/integration/lines/{code}/solder-paste/unbind
POST /api/integration/lines/{code}/stencil/bind
POST /api/integration/lines/{code}/stencil/unbind
POST /api/integration/maintenance-task
POST /api/integration/messages/{id}/dismiss
POST /api/integration/messages/{id}/replay
POST /api/integration/solder-paste-status
POST /api/integration/solder-paste-usage
POST /api/integration/station-data
POST /api/integration/stencil-status
GET /api/lines
GET /api/lines/{code}
GET /api/readiness/exceptions
GET /api/reports/in-out
GET /api/reports/production
GET /api/runs
GET /api/runs/{run_no}
POST /api/runs/{run_no}/readiness/check
GET /api/runs/{run_no}/readiness/history
GET /api/runs/{run_no}/readiness/latest
POST /api/runs/{run_no}/readiness/precheck
POST /api/runs/{run_no}/readiness/preparations/{code}/confirm
GET /api/solder-paste-usages
GET /api/stations
GET /api/stations/resolve-unit/{sn}
GET /api/stations/{code}
GET /api/stations/{code}/queue
POST /api/stations/{code}/track-in
POST /api/stations/{code}/track-out
GET /api/stations/{code}/unit/{sn}/data-specs
GET /api/time-rules/instances
GET /api/time-rules/instances/{id}
GET /api/trace/carriers/{carrier_no}
GET /api/trace/units/{sn}
GET /api/work-orders
GET /api/work-orders/{wo_no}
"""

REFUSED = """
POST /api/bom-items
DELETE /api/bom-items/{id}
PATCH /api/bom-items/{id}
POST /api/data-collection-specs
DELETE /api/data-collection-specs/{id}
PATCH /api/data-collection-specs/{id}
POST /api/equipment
DELETE /api/equipment/{code}
PATCH /api/equipment/{code}
GET /api/events
POST /api/events/retry-dead
POST /api/events/{id}/retry
POST /api/execution-configs
DELETE /api/execution-configs/{id}
PATCH /api/execution-configs/{id}
POST /api/fai-templates
DELETE /api/fai-templates/{code}
PATCH /api/fai-templates/{code}
POST /api/fai/run/{run_no}
POST /api/fai/{id}/complete
POST /api/fai/{id}/items
POST /api/fai/{id}/samples
POST /api/fai/{id}/sign
POST /api/fai/{id}/start
GET /api/integration/equipment-status
GET /api/integration/inspection-result
GET /api/integration/maintenance-task
GET /api/integration/messages
POST /api/integration/outbound/erp/runs/{run_no}/completion
GET /api/integration/outbound/events
POST /api/integration/outbound/events/{id}/retry
GET /api/integration/solder-paste-status
GET /api/integration/solder-paste-usage
GET /api/integration/station-data
GET /api/integration/stencil-status
POST /api/integration/work-orders
POST /api/lines
DELETE /api/lines/{code}
PATCH /api/lines/{code}
POST /api/materials
DELETE /api/materials/{code}
PATCH /api/materials/{code}
POST /api/operations
DELETE /api/operations/{code}
PATCH /api/operations/{code}
POST /api/prep-policies
DELETE /api/prep-policies/{id}
PATCH /api/prep-policies/{id}
POST /api/routes
DELETE /api/routes/{code}
PATCH /api/routes/{code}
POST /api/routes/{code}/compile
POST /api/routes/{code}/execution-config
POST /api/routes/{code}/ingest-preview
POST /api/runs/{run_no}/authorize
POST /api/runs/{run_no}/close
POST /api/runs/{run_no}/readiness/items/{id}/waive
POST /api/runs/{run_no}/units
POST /api/station-groups
DELETE /api/sources/{code}
PATCH /api/sources/{code}
DELETE /api/station-groups/{code}
PATCH /api/station-groups/{code}
POST /api/sources
POST /api/stations
DELETE /api/stations/{code}
PATCH /api/stations/{code}
POST /api/stencils
DELETE /api/stencils/{stencil_id}
PATCH /api/stencils/{stencil_id}
POST /api/time-rules
POST /api/time-rules/instances/{id}/acknowledge
POST /api/time-rules/instances/{id}/waive
DELETE /api/time-rules/{id}
PATCH /api/time-rules/{id}
POST /api/units/{sn}/hold
POST /api/units/{sn}/release
POST /api/units/{sn}/rework
POST /api/units/{sn}/scrap
POST /api/work-orders/{wo_no}/release
POST /api/work-orders/{wo_no}/runs
"""


def listed(text: str) -> list[str]:
    """Return the operations of a list: each a method and a path."""
    return text.strip().splitlines()
