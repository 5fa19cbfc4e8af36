"""The way from the web server's socket to Django: no thread is taken before a request is whole and its sender known."""
