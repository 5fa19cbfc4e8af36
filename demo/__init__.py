"""A demo plant and a simulator of its line: a pure client of the HTTP interface, like any machine."""
