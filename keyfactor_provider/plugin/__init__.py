"""Front end: the native Pulumi plugin, for programs in any language.

It translates between Pulumi's engine and `operations` over the SDK's own gRPC stubs, and decides nothing. A run starts
it several times (2 to 5, as measured), so that it imports as little as it can, and nothing that it keeps in memory is
relied on between two of its processes.
"""
