"""Front end: a Terraform and OpenTofu provider, served over plugin protocol 6.

It translates between Terraform and `operations` and decides nothing. It is built on the PyPI package `tf` (pinned,
because `servicer` subclasses its servicer to add what it lacks) and never imports pulumi.

Raises:
    ImportError: the extra `terraform` is not installed.
"""

from importlib.util import find_spec

if find_spec("tf") is None:
    raise ImportError(
        "The Terraform provider is an extra of this package. Run: pip install 'keyfactor-provider[terraform]'"
    )
