"""Attacks an installation of its own as careless devices, strangers and failing machines would."""
