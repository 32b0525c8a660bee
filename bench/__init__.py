"""How fast, how small: `make bench` measures, prints one table and writes RESULTS.md."""
