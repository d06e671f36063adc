"""``python -m nlp_rnn.cli`` is ``nlp-rnn``."""

import sys

from nlp_rnn.cli import main

if __name__ == "__main__":
    sys.exit(main())
