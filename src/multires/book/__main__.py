"""The command line of the book: ``python -m multires.book``."""

from multires.book.build import main

if __name__ == "__main__":
    raise SystemExit(main())
