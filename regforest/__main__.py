"""``python -m regforest``: the command line, where its script is not on the path."""

import sys

from regforest.cli import main

sys.exit(main())
