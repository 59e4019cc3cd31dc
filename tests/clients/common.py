"""What the checks share: tarballs, expected errors, waiting with a deadline."""

import hashlib
import io
import os
import random
import sys
import tarfile
import time
import zipfile

DCP_NAME = "24_01_31-235959.SH_CL_routed.dcp"
PATIENCE = 30


def dcp():
    """A checkpoint with a netlist that is encrypted."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("dcp.xml", b'<Design part="xcvu9p"/>')
        archive.writestr("top.edf", b"XlxV64EB    fa00")
        archive.writestr("top.xdef", random.Random(1).randbytes(5000))
    return buffer.getvalue()


def manifest(checkpoint, **changes):
    """The manifest of a checkpoint; a change to None leaves a key out."""
    lines = {
        "manifest_format_version": "2",
        "pci_vendor_id": "0x1D0F",
        "pci_device_id": "0xF000",
        "pci_subsystem_id": "0x1D51",
        "pci_subsystem_vendor_id": "0xFEDD",
        "dcp_hash": hashlib.sha256(checkpoint).hexdigest(),
        "shell_version": "0x04261818",
        "dcp_file_name": DCP_NAME,
        "hdk_version": "1.4.24",
        "tool_version": "v2021.2",
        "date": "24_01_31-235959",
        "clock_recipe_a": "A1",
        "clock_recipe_b": "B0",
        "clock_recipe_c": "C0",
    }
    lines.update(changes)
    return "".join(f"{key}={value}\n" for key, value in lines.items() if value is not None)


def archive(members):
    """A tar of names and contents."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, contents in members:
            info = tarfile.TarInfo(name)
            info.size = len(contents)
            tar.addfile(info, io.BytesIO(contents))
    return buffer.getvalue()


def tarball(**changes):
    """What the build scripts make, with changes to its manifest."""
    checkpoint = dcp()
    return archive(
        [
            ("to_aws/" + DCP_NAME, checkpoint),
            ("to_aws/24_01_31-235959.manifest.txt", manifest(checkpoint, **changes).encode()),
        ]
    )


def wait_until(what, look):
    """Looks until it sees something, within a bound."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        seen = look()
        if seen:
            return seen
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {PATIENCE} s")


def secret(account):
    return f"simulated-{account}"


def key(account):
    return f"AKIASIM0{account}"


def run_check(module):
    """Runs the function that the command line names."""
    # Clients must not find anything real.
    os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")
    getattr(module, sys.argv[1])()
