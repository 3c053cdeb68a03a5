"""What the tests stand on: a router of their own, and a real Kubernetes, built from Go modules and Debian packages.

The router: envoy (the binary, the filter), manifests (short calls), router (one Envoy process, fed as by the kubelet),
asking (chat calls), and what it talks to: background (a thread), providers (turnout's fakes), wire (bytes), front_door
(TLS and HTTP/2), certificates, nameserver.

Kubernetes, in namespaces of its own. Layers, lowest first: cache (folders that survive), packages (Debian, Go),
binaries (go build), namespace (unshare), control_plane (etcd, API server), oci and images (without a registry), node
(containerd, kubelet, kube-proxy, CoreDNS), cluster (what tests use), fixtures (pytest). By hand:
`PYTHONPATH=tests python -m harness --help`.
"""
