"""Reports: what the lines made, by machines' counts and by tracks. Reading only."""
