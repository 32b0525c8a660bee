"""Front end: a Terraform and OpenTofu provider, served over plugin protocol 6.

It translates between Terraform and `operations` and decides nothing. It is built on the PyPI package `tf`
(pinned: what that lacks is added by a subclass of its servicer, in `servicer`), and never imports pulumi.
"""

import sys

if sys.version_info < (3, 11):
    sys.exit(
        f"The Terraform provider needs Python 3.11 or newer, as its library tf does; this is {sys.version.split()[0]}"
    )
