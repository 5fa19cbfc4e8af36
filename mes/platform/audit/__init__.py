"""The audit: what was changed, from what, to what, by whom and why. Written by triggers of the database only."""
