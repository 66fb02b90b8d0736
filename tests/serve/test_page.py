"""What the page of the service shows works: its commands, its client in Python."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from tests.cli.test_names import long_options
from tests.receipts import ECHO, TEXT, echo_receipt
from tests.serve.test_command import running
from tests.test_snippets import ROOT, environment, snippets
from zkvm import api
from zkvm.serve.endpoints import Service
from zkvm.serve.settings import Settings
from zkvm.verifier.receipt import Receipt

PAGE = (ROOT / "docs" / "serve.md").read_text()
URL = "http://127.0.0.1:8000"


def test_commands_and_client_of_the_page(tmp_path: Path) -> None:
    server, commands, python, _ = snippets(PAGE)  # the last one is nginx's
    (tmp_path / "programs").mkdir()
    shutil.copy(ECHO, tmp_path / "programs" / "guest.elf")
    (tmp_path / "private.bin").write_bytes(TEXT)
    echo_receipt().save(tmp_path / "guest.receipt")
    options = server.code.split()
    assert options[:2] == ["zkvm", "serve"]
    places = [str(tmp_path / option) if not option.startswith("--") else option for option in options[2:]]
    with running(tmp_path / "log", *places) as (_, said, client):
        if shutil.which("curl"):
            for command in commands.code.replace(URL, said["url"]).splitlines():
                done = subprocess.run(
                    ["bash", "-e", "-c", command], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False, timeout=120
                )
                assert done.returncode == 0, done.stderr
                assert '"accepted":true' in done.stdout or '"state":"waiting"' in done.stdout
        names: dict[str, bytes] = {}
        exec(python.code.replace(URL, said["url"]), names)
        assert Receipt.from_bytes(names["receipt"]).verify(api.compute_image_id(ECHO)).exit_code == 0
        assert client.get("/health").status_code == 200


def test_the_page_names_every_option_and_every_request(tmp_path: Path) -> None:
    missing = [name for name in long_options("serve") - {"--json", "--help"} if f"`{name}" not in PAGE and f" {name} " not in PAGE]
    assert missing == []
    service = Service(Settings(tmp_path))
    try:
        for operation in service.operations():
            path = re.escape(f"{operation.method} {operation.path}".replace("{job}", "ID"))
            assert re.search(path, PAGE), operation.path
    finally:
        service.close()
