"""`python -m physgen JOB [OVERRIDES]`."""

import sys

from physgen.experiments.cli import main

if __name__ == "__main__":
    sys.exit(main())
