"""Words and drawings of the pages."""
