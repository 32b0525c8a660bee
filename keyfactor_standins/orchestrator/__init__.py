"""A Keyfactor orchestrator in small: registers, sees its flag, enrolls for a new certificate, presents it."""
