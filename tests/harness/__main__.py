"""`python -m harness [--api-only] build|shell [command]`: build everything ahead, or look around by hand."""

import argparse
import os
import subprocess

from harness import binaries, session
from harness.packages import PATH, require_debian_packages


def main() -> None:
    """Parse the command line and do it."""
    parser = argparse.ArgumentParser(prog="python -m harness", description=__doc__)
    parser.add_argument("verb", choices=["build", "shell"])
    parser.add_argument("--api-only", action="store_true", help="etcd and API server, no node")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="run this instead of a shell")
    args = parser.parse_args()
    if args.verb == "build":
        require_debian_packages(node=not args.api_only)
        binaries.control_plane()
        if not args.api_only:
            binaries.node()
        return
    with session.control_plane() as plane:
        if not args.api_only:
            session.node(plane)
        path = f"{plane.binaries}:{PATH}"
        env = plane.namespace.environment(
            {
                "KUBECONFIG": str(plane.kubeconfig("admin")),
                "PATH": path,
                "PS1": "cluster# ",
                "TERM": os.environ.get("TERM", "dumb"),
            }
        )
        print(f"state: {plane.folder}; leave the shell to end the cluster", flush=True)
        subprocess.run(plane.namespace.argv(args.command or ["bash", "--norc"]), env=env, check=False)


if __name__ == "__main__":
    main()
