"""The hub: our own vendor-neutral vocabulary between the wires. Pure values, no I/O, no clock.

* `request`: what a client asks. `parts`: what messages are made of. `response`: what comes back whole.
* `events`: what comes back streamed. `fold`: events → response. `explode`: response → events.
* `residue`: what only one wire understands. `loss`: what a translation could not carry.
* `profile`: what an upstream model can do. `names`: tool names and ids within a target's limits.

Laws (tests/laws): L1 response → hub → same response · L2 request → hub → same request · L3 fold(stream) == the
non-streamed response · L4 rendering into any other wire and parsing back keeps the shared vocabulary · L5 any
re-chunking of the bytes gives the same events · L6 every dropped node has a Loss · L7 start + deltas = end.
"""
