"""``python -m refcoreml`` is ``refcoreml``."""

import sys

from refcoreml.cli import main

sys.exit(main())
