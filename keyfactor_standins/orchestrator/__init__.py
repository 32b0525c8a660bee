"""A stand-in for a Keyfactor orchestrator: registers, reads its flag, enrolls for a certificate and presents it."""
