# SPDX-License-Identifier: Apache-2.0
"""The credentials file on a temporary folder."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from ansible_collections.hotstack.os.plugins.module_utils import credentials as decisions
from ansible_collections.hotstack.os.plugins.modules import credentials


def parameters(path: Path, **more: Any) -> dict[str, Any]:
    return {
        "path": str(path),
        "names": ["admin", "key"],
        "given": {},
        "lengths": {"key": 32},
        "renew": [],
        "fixed": [],
        **more,
    }


def test_created_then_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "credentials.json"
    first = credentials.run(parameters(path), check_mode=False)
    assert (first["changed"], first["added"]) == (True, ["admin", "key"])
    assert path.stat().st_mode & 0o777 == 0o600
    secrets = json.loads(path.read_text())
    assert len(secrets["admin"]) >= 32
    assert len(secrets["key"]) == 32
    assert not credentials.run(parameters(path), check_mode=False)["changed"]
    assert json.loads(path.read_text()) == secrets


def test_check_mode_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "absent" / "credentials.json"
    assert credentials.run(parameters(path), check_mode=True)["changed"]
    assert list(tmp_path.iterdir()) == []


def test_no_secret_is_returned(tmp_path: Path) -> None:
    path = tmp_path / "credentials.json"
    results = [
        credentials.run(parameters(path), check_mode=False),
        credentials.run(parameters(path, given={"admin": "opensesame"}), check_mode=False),
    ]
    assert results[1]["replaced"] == ["admin"]
    assert results[1]["diff"]["after"]["secrets"] == ["admin (replaced)", "key"]
    printed = json.dumps(results)
    assert "opensesame" not in printed
    assert not any(secret in printed for secret in json.loads(path.read_text()).values())


def test_a_renewed_one_is_another(tmp_path: Path) -> None:
    path = tmp_path / "credentials.json"
    credentials.run(parameters(path), check_mode=False)
    before = json.loads(path.read_text())
    foreseen = credentials.run(parameters(path, renew=["admin"]), check_mode=True)
    assert json.loads(path.read_text()) == before
    result = credentials.run(parameters(path, renew=["admin"], fixed=["key"]), check_mode=False)
    assert foreseen["replaced"] == result["replaced"] == ["admin"]
    after = json.loads(path.read_text())
    assert after["admin"] != before["admin"]
    assert after["key"] == before["key"]


def test_a_readable_file_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "credentials.json"
    credentials.run(parameters(path), check_mode=False)
    path.chmod(0o644)
    result = credentials.run(parameters(path), check_mode=False)
    assert result["changed"]
    assert result["diff"]["before"]["readable"] == "by others too"
    assert path.stat().st_mode & 0o777 == 0o600


def test_main(tmp_path: Path) -> None:
    module = mock.Mock(params=parameters(tmp_path / "file"), check_mode=False)
    module.fail_json.side_effect = SystemExit
    with mock.patch.object(credentials, "AnsibleModule", return_value=module):
        credentials.main()
        assert module.exit_json.call_args.kwargs["changed"]
        module.params = parameters(tmp_path / "file", given={"no": "x"})
        with pytest.raises(SystemExit), redirect_stdout(io.StringIO()):
            credentials.main()
    assert "no credential called no" in module.fail_json.call_args.kwargs["msg"]
    assert issubclass(decisions.CredentialsError, Exception)
