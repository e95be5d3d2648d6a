"""Run a host over the fake pipeline: python fake_host.py DATA [fail]; says its URL."""

import sys
from pathlib import Path

from fake_pipeline import OFFER, fail_to_load, load_fake

from ophora_server.generator.host import HostPlan, serve

if __name__ == "__main__":
    serve(
        HostPlan(
            offer=OFFER,
            release_sha256="0" * 64,
            make_pipeline=fail_to_load if "fail" in sys.argv else load_fake,
            data=Path(sys.argv[1]),
            port=0,
        ),
        lambda url: sys.stdout.write(f"{url}\n") and sys.stdout.flush(),
    )
