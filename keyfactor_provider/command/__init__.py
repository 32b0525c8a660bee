"""Keyfactor Command over HTTP: settings, authentication, wire format, client."""
