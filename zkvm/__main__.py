"""``python -m zkvm`` is the command line."""

from zkvm.cli.main import main

if __name__ == "__main__":
    main()
