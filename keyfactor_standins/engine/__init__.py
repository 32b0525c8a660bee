"""A small Pulumi engine: runs Pulumi Python programs with dynamic resources without the pulumi CLI."""

import os

# Silences gRPC's log, here and in the children: it reports connections that close because the run ends.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
