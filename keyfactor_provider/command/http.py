"""Imports httpx without its command line, which brings rich and click where they are installed and takes 45 ms.

`httpx/__init__.py` imports that line if it can, and does without it if it can't.
"""

import sys

_COMMAND_LINE = "httpx._main"

if "httpx" in sys.modules:
    import httpx
else:
    sys.modules[_COMMAND_LINE] = None  # type: ignore[assignment]
    try:
        import httpx
    finally:
        del sys.modules[_COMMAND_LINE]

__all__ = ["httpx"]
