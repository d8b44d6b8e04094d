"""`python -m trice` is `trice`."""

from trice.cli.main import main

if __name__ == "__main__":
    main()
