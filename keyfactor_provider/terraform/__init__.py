"""Front end: a Terraform and OpenTofu provider, served over plugin protocol 6.

It translates between Terraform and `operations` and decides nothing. It is built on the PyPI package `tf`
(pinned: what that lacks is added by a subclass of its servicer, in `servicer`), and never imports pulumi.
"""
