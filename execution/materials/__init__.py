"""What a unit is made of, and which units something is in: derived from loads and passes, or reported."""
