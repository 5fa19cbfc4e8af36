"""The checks of this app, one file each."""
