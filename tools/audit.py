"""pip-audit over the installed packages: which of them have a known vulnerability.

    python tools/audit.py [--required]

Status 1 if one has. Without a network, or with a package index that has no such data, nothing can
be said: a line says so, and the status is 0; with ``--required``, as in the public CI, it is 1.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

_COMMAND = ("-m", "pip_audit", "--format=json", "--progress-spinner=off", "--skip-editable")
_SECONDS = 300


def main() -> int:
    not_audited = int("--required" in sys.argv[1:])
    try:
        done = subprocess.run(
            [sys.executable, *_COMMAND], capture_output=True, text=True, timeout=_SECONDS
        )
        dependencies = json.loads(done.stdout)["dependencies"]
    except subprocess.TimeoutExpired:
        print(f"pip-audit: no answer within {_SECONDS} s, nothing was audited")
        return not_audited
    except (ValueError, KeyError, TypeError):
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        print(f"pip-audit: nothing was audited: {last[:200]}")
        return not_audited
    if not any("vulns" in each for each in dependencies):
        print("pip-audit: nothing was audited: its service knows no package here")
        return not_audited
    audited = [each for each in dependencies if "vulns" in each]
    for each in audited:
        for vulnerability in each["vulns"]:
            print(_words(each, vulnerability))
    left_out = len(dependencies) - len(audited)
    unknown = f", {left_out} unknown to the service" if left_out else ""
    print(f"pip-audit: {len(audited)} packages audited{unknown}")
    return int(any(each["vulns"] for each in audited))


def _words(package: dict[str, Any], vulnerability: dict[str, Any]) -> str:
    fixed = ", ".join(vulnerability.get("fix_versions", ())) or "no version"
    name = f"{package['name']} {package['version']}"
    return f"pip-audit: {name}: {vulnerability['id']}, fixed in {fixed}"


if __name__ == "__main__":
    sys.exit(main())
