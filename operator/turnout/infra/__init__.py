"""IR and verdicts → Kubernetes objects, statuses and conditions. Pure."""
