"""`python -m physgen JOB [OVERRIDES]`."""

import sys

from physgen.experiments.cli.dispatch import main

if __name__ == "__main__":
    sys.exit(main())
