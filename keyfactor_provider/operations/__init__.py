"""The decisions carried out, on plain values: before a run, the run, and look-ups; no engine in it."""
