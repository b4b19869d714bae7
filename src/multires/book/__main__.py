"""The command line of the book: ``python -m multires.book``."""

from multires.book.build import main
from multires.runtime.processes import interrupt_on_termination

if __name__ == "__main__":
    interrupt_on_termination()
    raise SystemExit(main())
