"""How bytes get to a provider and back. All I/O, no decisions: whoever calls decides what an outcome means."""
