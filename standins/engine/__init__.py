"""A Pulumi engine in small: runs a Pulumi Python program with dynamic resources where no pulumi CLI is."""
