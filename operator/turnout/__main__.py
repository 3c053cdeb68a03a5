"""The command `turnout`; importing this module does nothing."""


def main() -> None:
    """Run the command line. Imports late, so that `turnout --version` stays quick."""
    from turnout.cli.main import turnout

    turnout()


if __name__ == "__main__":
    main()
