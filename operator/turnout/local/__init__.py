"""The `turnout run` front: a directory of manifests in place of a cluster, an Envoy child process in place of pods."""
