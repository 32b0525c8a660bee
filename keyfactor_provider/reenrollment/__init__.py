"""The decisions, as pure functions: from desired state, record and observation to what to request and record."""
