"""IR → Envoy: the bootstrap and the four files that a router watches. Pure."""
