"""The benchmark: what a request costs beside the same statements sent by pgbench (docs/performance.md)."""
