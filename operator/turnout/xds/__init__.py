"""IR → Envoy: the bootstrap and the six files that a router watches. Pure."""
