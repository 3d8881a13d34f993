"""A provider of logins as others run it: the example server of a certified OpenID Connect library, compiled from Go."""

import json
import subprocess
import time
from pathlib import Path

from orderflow_cli.servers.ports import free_port, is_listening
from support.tools.go_tools import go_program

CLIENT, SECRET = "web", "secret"
PASSWORD = "a password of this test"  # noqa: S105 - as it says
_PACKAGE = "github.com/zitadel/oidc/v3/example/server"
_START_SECONDS = 30


class Provider:
    """A provider that knows these people; what it says of their groups is their address of mail."""

    def __init__(self, folder: Path, redirect: str, people: tuple[str, ...]) -> None:
        port = free_port()
        self.issuer = f"http://localhost:{port}/"
        users = folder / "users.json"
        users.write_text(json.dumps({f"id-{name}": _user(name) for name in people}))
        env = {"PORT": str(port), "USERS_FILE": str(users), "REDIRECT_URI": redirect}
        self._log = (folder / "provider.log").open("wb")
        program = str(go_program("oidc", _PACKAGE))
        self._process = subprocess.Popen([program], env=env, stdout=self._log, stderr=self._log)
        deadline = time.monotonic() + _START_SECONDS
        while not is_listening(port):
            assert self._process.poll() is None, (folder / "provider.log").read_text()
            assert time.monotonic() < deadline, "the provider does not come up"
            time.sleep(0.05)

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait()
        self._log.close()


def _user(name: str) -> dict[str, object]:
    return {
        "ID": f"id-{name}",
        "Username": name,
        "Password": PASSWORD,
        "FirstName": name.title(),
        "LastName": "Of This Test",
        "Email": f"{name}@example.com",
        "EmailVerified": True,
        "PreferredLanguage": "en",
    }
