"""What the tests stand on: a real Kubernetes, built from Go modules and Debian packages, in namespaces of its own.

Layers, lowest first: cache (folders that survive), packages (Debian, Go), binaries (go build), namespace (unshare),
control_plane (etcd, API server), oci and images (without a registry), node (containerd, kubelet, kube-proxy, CoreDNS),
cluster (what tests use), fixtures (pytest). By hand: `PYTHONPATH=tests python -m harness --help`.
"""
