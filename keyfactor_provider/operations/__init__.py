"""The decisions carried out, on what is desired and what is recorded; no engine in it.

`Operations` holds what an engine asks for: `before` a run, the `run`, and `lookups`.
"""
