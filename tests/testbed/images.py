"""The test image: busybox and its links, imported without a registry."""

from __future__ import annotations

import functools
import io
import json
import subprocess
import tarfile

import docker

from tests.testbed.paths import needed

REPOSITORY, TAG = "selfheal-test/busybox", "1"
IMAGE = f"{REPOSITORY}:{TAG}"
_FOLDERS = ("bin", "dev", "etc", "home", "proc", "root", "run", "sys", "tmp", "usr", "var", "www")
_PASSWD = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n"
_GROUP = "root:x:0:\nnogroup:x:65534:\n"


def ensure_image(client: docker.APIClient) -> str:
    """The name of the test image, imported into the engine (0.1 s) unless it is there."""
    if not client.images(name=IMAGE):
        answer = client.import_image_from_data(
            _filesystem(), repository=REPOSITORY, tag=TAG, changes=['CMD ["sh"]', "ENV PATH=/bin"]
        )
        if "error" in answer:
            raise RuntimeError(f"the engine refused the test image: {json.loads(answer)['error']}")
    return IMAGE


@functools.cache
def _filesystem() -> bytes:
    busybox = needed("busybox", "busybox-static")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for folder in _FOLDERS:
            _add(archive, folder, tarfile.DIRTYPE, mode=0o1777 if folder == "tmp" else 0o755)
        archive.add(busybox, "bin/busybox")
        for name in subprocess.check_output([busybox, "--list"], text=True).split():
            if name != "busybox":
                _add(archive, f"bin/{name}", tarfile.SYMTYPE, link="/bin/busybox")
        _add(archive, "etc/passwd", content=_PASSWD)
        _add(archive, "etc/group", content=_GROUP)
    return buffer.getvalue()


def _add(
    archive: tarfile.TarFile,
    name: str,
    kind: bytes = tarfile.REGTYPE,
    mode: int = 0o644,
    link: str = "",
    content: str = "",
) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.linkname, entry.size = kind, mode, link, len(content)
    archive.addfile(entry, io.BytesIO(content.encode()) if content else None)
