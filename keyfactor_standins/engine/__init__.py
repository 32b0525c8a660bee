"""A Pulumi engine in small: runs a Pulumi Python program with dynamic resources where no pulumi CLI is."""

import os

# gRPC's own log, here and in the children: lines about connections that end because the run does.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
