"""Gathers the subjects' registrations for Django, which looks for them here."""

from importlib import import_module

SUBJECTS = "accounts plant specs routing production readiness events line_setup reports timerules notifications counts"

for subject in SUBJECTS.split():
    import_module(f"mes.{subject}.admin")
