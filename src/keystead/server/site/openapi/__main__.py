"""Print the document, as ``scripts/reference.py`` keeps it."""

import json
import sys
from pathlib import Path

from keystead.server.settings import ServerSettings
from keystead.server.site.settings import configure


def main() -> None:
    """Print it; no database is opened."""
    configure(ServerSettings(data_dir=Path("var")), secret_key="for-the-document-only")
    from keystead.server.site.openapi.document import document

    json.dump(document(), sys.stdout, indent=2)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
