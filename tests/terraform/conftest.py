"""The tests of the Terraform front end, where its library can be had."""

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("tf") else ["test_[!l]*.py"]
