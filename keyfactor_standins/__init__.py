"""The real systems in small, for the demo and the tests; nothing in keyfactor_provider imports them."""
