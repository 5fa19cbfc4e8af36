"""Hold rules: when the system stops a station or a line by itself, or tells people, by what was tracked out there."""
