"""The command line of the controlled experiment: ``python -m multires.experiment``."""

from multires.experiment.run import main

if __name__ == "__main__":
    main()
