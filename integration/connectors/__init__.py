"""Translators of what machines say in formats of their own into bodies of the channels. Pure: no database, no HTTP."""
