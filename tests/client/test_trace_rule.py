"""A site's spans go to this machine, or to a host that the site has named; else nothing starts."""

from pathlib import Path

import pytest

from ophora_client.errors import SiteInvalid
from ophora_client.site import init_site
from ophora_client.trace_rule import TracesTable, check_collector, trace_rule
from ophora_privacy.watch.spans import TRACES_VARIABLE, carried, start_traces

NONE = TracesTable()


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:4318/v1/traces",
        "http://127.3.2.1/v1/traces",
        "https://[::1]:4318/v1/traces",
    ],
)
def test_loopback_is_taken_as_it_is(address: str) -> None:
    assert check_collector(address, NONE) == address


def test_localhost_is_not_left_to_a_name_server() -> None:
    assert check_collector("http://localhost:7/v1/traces", NONE) == "http://127.0.0.1:7/v1/traces"


@pytest.mark.parametrize(
    "address",
    [
        "http://collector.example:4318/v1/traces",
        "http://10.0.0.8:4318/v1/traces",
        "http://192.168.1.9/v1/traces",
        "http://[::ffff:10.0.0.1]/v1/traces",
        "http://127.0.0.1.example/v1/traces",
        "http://0.0.0.0:4318/v1/traces",
        "http://user:secret@127.0.0.1/v1/traces",
        "http://127.0.0.1@evil.example/v1/traces",
        "http://127.0.0.1/v1/traces?to=evil",
        "http://2130706433/v1/traces",
        "http:///v1/traces",
        "http://127.0.0.1:notaport/v1/traces",
    ],
)
def test_any_other_address_is_refused(address: str) -> None:
    with pytest.raises(SiteInvalid) as refused:
        check_collector(address, NONE)
    assert "secret" not in str(refused.value)


def test_a_host_that_the_site_named_is_let_through() -> None:
    table = TracesTable(allowed_hosts=("Collector.Hospital.example", "10.0.0.8"))
    for address in ("http://collector.hospital.example/v1/traces", "http://10.0.0.8:1/v1/traces"):
        assert check_collector(address, table) == address
    with pytest.raises(SiteInvalid):
        check_collector("http://10.0.0.9:1/v1/traces", table)


def test_the_rule_is_the_sites_own_and_the_environment_cannot_pass_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    init_site(tmp_path, code="site-a")
    monkeypatch.setenv(TRACES_VARIABLE, "http://collector.example:4318")
    with pytest.raises(SiteInvalid, match="allowed_hosts"):
        start_traces("ophora-site", trace_rule(tmp_path))
    assert carried() == ""
    with (tmp_path / "site.toml").open("a", encoding="utf-8") as file:
        file.write('[traces]\nallowed_hosts = ["collector.example"]\n')
    assert trace_rule(tmp_path)("http://collector.example:4318") == "http://collector.example:4318"
