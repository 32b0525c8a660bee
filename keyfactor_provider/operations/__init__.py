"""Carries out the decisions of `reenrollment` on `Desired` and `Record`; knows no engine.

`Operations` holds what a front end calls: `before` a run, the `run`, and `lookups`.
"""
