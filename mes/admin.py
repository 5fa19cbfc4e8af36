"""Gathers the subjects' registrations for Django, which looks for them here."""

from importlib import import_module

SUBJECTS = (
    "plant specs routing production readiness platform.outbox platform.bulk_actions platform.files platform.lists "
    "line_setup line_setup.set_up_lists status_reports time_rules platform.notifications platform.sign_in "
    "production_counts spreadsheets qualifications"
)

for subject in SUBJECTS.split():
    import_module(f"mes.{subject}.admin")
import_module("mes.routing.examples_admin")
