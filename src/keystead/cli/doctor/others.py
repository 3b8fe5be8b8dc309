"""Which other products are signed in here. Their files are noticed, never opened (the legal wall)."""

from collections.abc import Iterator
from typing import Final

from keystead.cli.doctor.finding import Finding, Ground, Weight

LOGINS: Final = (
    (".claude/.credentials.json", "the agent's own vendor login"),
    (".codex/auth.json", "Codex"),
    (".gemini/oauth_creds.json", "Gemini CLI"),
    (".local/share/opencode/auth.json", "opencode"),
    (".config/gh/hosts.yml", "GitHub CLI"),
    (".aws/credentials", "AWS"),
    (".config/gcloud/application_default_credentials.json", "Google Cloud"),
    (".azure/azureProfile.json", "Azure"),
)
"""File below the home directory, and whose it is."""


def look(ground: Ground) -> Iterator[Finding]:
    """Name each file that exists."""
    for file, whose in LOGINS:
        path = ground.environment.home / file
        if file.startswith(".claude/"):
            path = ground.environment.agent_dir / file.removeprefix(".claude/")
        try:
            exists = path.exists()
        except OSError:  # a directory that may not be entered
            exists = False
        if exists:
            yield Finding(
                Weight.NOTE, f"{whose} is signed in here; its file was not opened", ground.environment.display(path)
            )
