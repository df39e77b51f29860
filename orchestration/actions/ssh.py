"""`ssh`: one program on one other machine, whose key is signed beforehand. Never trusts a key on first sight.

SSH hands a command over as one text, which the shell of the user over there reads. Each argument is quoted for a POSIX
shell, so what a person typed arrives as one literal argument.
"""

from typing import Any, ClassVar

from orchestration.actions import egress
from orchestration.actions.base import SECRET, ChildAction, Context, Result


class Ssh(ChildAction):
    name = "ssh"
    summary = "Runs a program on another machine, over SSH, whose host key is known beforehand."
    inherits = egress.INHERITS
    schema: ClassVar[dict[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["host", "user", "known_hosts", "auth", "argv"],
        "properties": {
            "host": {"type": "string", "pattern": f"^{egress.HOST}$(?!\\n)", "maxLength": 253},
            "port": {"type": "integer", "minimum": 1, "maximum": 65535, "description": "22 unless given"},
            "user": {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9._-]{0,63}$(?!\\n)"},
            "known_hosts": {
                "type": "array",
                "minItems": 1,
                "maxItems": 20,
                "items": {
                    "type": "string",
                    "pattern": '^[!-"$-~][ -~]*$(?!\\n)',
                    "maxLength": 4000,
                    "description": "a line as `ssh-keyscan` prints it: names, kind of key, key",
                },
                "description": "the keys that the machine may show",
            },
            "auth": {
                "type": "object",
                "additionalProperties": False,
                "minProperties": 1,
                "dependentRequired": {"passphrase": ["key"]},
                "not": {"required": ["key", "password"]},
                "properties": {"key": SECRET, "passphrase": SECRET, "password": SECRET},
                "description": "a private key with its passphrase, if it has one, or a password",
            },
            "argv": {
                "type": "array",
                "minItems": 1,
                "maxItems": 200,
                "prefixItems": [{"type": "string", "pattern": "^[^-]"}],
                "items": {"type": "string", "pattern": "^[^\\x00]*$", "maxLength": 32_768},
                "description": "the program and its arguments, each quoted for a POSIX shell",
            },
            "upload": {
                "type": "array",
                "maxItems": 20,
                "items": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["file", "to"],
                    "properties": {
                        "file": {
                            "type": "string",
                            "pattern": "^(?!.*(^|/)\\.{0,2}(/|$))[^\\x00-\\x1f\\\\-][^\\x00-\\x1f\\\\]*$(?!\\n)",
                            "maxLength": 500,
                            "description": "one of the step's `files`",
                        },
                        "to": {
                            "type": "string",
                            "pattern": "^(?!.*/\\.{0,2}(/|$))/[^\\x00-\\x1f]+$(?!\\n)",
                            "maxLength": 500,
                            "description": "an absolute path over there",
                        },
                        "mode": {
                            "enum": ["0600", "0640", "0644", "0700", "0750", "0755"],
                            "description": "`0600` unless given",
                        },
                    },
                },
                "description": "sent by SFTP before the program starts; each takes its place at once and whole",
            },
            "success_codes": {
                "type": "array",
                "maxItems": 256,
                "items": {"type": "integer", "minimum": 0, "maximum": 255},
                "description": "exit codes that mean success; 0 unless given",
            },
        },
    }

    def run(self, context: Context) -> Result:
        from orchestration.actions import ssh_session  # its library is for the step's own process alone

        return ssh_session.run(context)
