"""Front end: the native Pulumi plugin, for programs in any language.

It translates between Pulumi's engine and `operations` with the SDK's gRPC stubs, and makes no decisions. A run starts
several plugin processes (2 to 5, as measured), so it imports as little as possible, and nothing depends on what another
process holds in memory.
"""
