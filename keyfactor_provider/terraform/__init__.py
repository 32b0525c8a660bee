"""Front end: a Terraform and OpenTofu provider, served over plugin protocol 6.

It translates between Terraform and `operations` and decides nothing. It is built on the PyPI package `tf`
(pinned: what that lacks is added by a subclass of its servicer, in `servicer`), and never imports pulumi.
"""

import sys
from importlib.util import find_spec

if find_spec("tf") is None:
    sys.exit(
        "The Terraform provider needs its library tf, and that Python 3.11 or newer: "
        "pip install 'keyfactor-provider[terraform]'"
    )
