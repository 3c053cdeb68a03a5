"""`turnout crds`: the CustomResourceDefinitions, to be piped into kubectl or written into a folder."""

from pathlib import Path

import click

from turnout.api.crds import crd_documents, crd_text, main


@click.command("crds")
@click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path), help="Write a file each into OUTPUT.")
def command(*, output: Path | None) -> None:
    """Print the CustomResourceDefinitions of ModelGroup, ScopedKey and CanaryRollout.

    `turnout crds | kubectl apply --server-side -f -` installs them.
    """
    if output is not None:
        main([str(output)])
    else:
        click.echo("---\n".join(crd_text(document) for document in crd_documents().values()), nl=False)
