"""Signing in: the pages, how often one may try, the second factor, and who is let no further."""
