"""Lists of everything: one table for all of them, and the views of them that people keep."""
