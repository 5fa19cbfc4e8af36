"""Gathers the subjects' registrations for Django, which looks for them here."""

from importlib import import_module

for subject in ("accounts", "plant", "specs", "routing", "production", "events", "line_setup", "reports"):
    import_module(f"mes.{subject}.admin")
