"""A hospital's own folder: settings, key, manifest, clips, cache, ledger and logs.

    SITE/site.toml  policy.toml  site.key  manifest.sqlite  clips/  held/  certificates/  cache/
         ledger.sqlite  ledger.head  cohorts.sqlite  canaries/
         review.key  identity.key  identity.pub  roster.toml  ca.crt  logs/

The key makes the ids of patients, videos and clips, and the cache is sealed with keys derived from
it; it is written once, readable by its owner only, and never replaced, since new ids would split a
patient's budget.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from ophora_client.errors import SiteExists, SiteInvalid, SiteMissing
from ophora_client.site_settings import (
    SiteSettings,
    parse_settings,
    render_policy,
    render_settings,
)
from ophora_curation.settings import CurationPaths
from ophora_curation.store.identity import KEY_BYTES
from ophora_model.draft import write_private, write_whole
from ophora_model.round_plan import RUN_ID
from ophora_privacy.ledger import Ledger

AUTHORITY = "ca.crt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One site's folder with its parsed settings."""

    folder: Path
    settings: SiteSettings

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Raises `SiteMissing` without a site.toml, `SiteInvalid` for one that can't be used."""
        path = folder / "site.toml"
        if not path.is_file():
            message = f"{folder}: no site.toml in it; run `ophora site init {folder} --code CODE`"
            raise SiteMissing(message)
        policy = folder / "policy.toml"
        held = _read_text(policy) if policy.exists() else None
        return cls(folder=folder, settings=parse_settings(_read_text(path), held))

    @property
    def manifest_path(self) -> Path:
        """The SQLite file of videos and clips."""
        return self.folder / "manifest.sqlite"

    @property
    def clips_dir(self) -> Path:
        """Where clip files lie, named by clip id."""
        return self.folder / "clips"

    @property
    def held_dir(self) -> Path:
        """Where the files of clips in quarantine lie until a person has looked at them."""
        return self.folder / "held"

    @property
    def certificates_dir(self) -> Path:
        """One certificate a video."""
        return self.folder / "certificates"

    @property
    def cache_dir(self) -> Path:
        """Latents and prompt embeddings."""
        return self.folder / "cache"

    @property
    def ledger_path(self) -> Path:
        """The privacy ledger, which never resets."""
        return self.folder / "ledger.sqlite"

    def open_ledger(self, *, must_exist: bool = True) -> Ledger:
        """The privacy ledger with this site's cap. Raises `PrivacyError` where it doesn't hold."""
        privacy = self.settings.privacy
        return Ledger(
            self.ledger_path,
            site=self.settings.site.code,
            cap=privacy.epsilon_cap,
            delta=privacy.delta,
            must_exist=must_exist,
        )

    @property
    def authority_path(self) -> Path:
        """The coordinator's certificate, once the site has joined a federation."""
        return self.folder / AUTHORITY

    @property
    def logs_dir(self) -> Path:
        """Logs of ids and counts."""
        return self.folder / "logs"

    @property
    def curation_paths(self) -> CurationPaths:
        """Where curation puts its outcome."""
        return CurationPaths(
            manifest=self.manifest_path,
            clips=self.clips_dir,
            held=self.held_dir,
            certificates=self.certificates_dir,
        )

    def approved_runs(self) -> frozenset[str]:
        """Runs that a person at the site has named."""
        path = self.folder / "approved-runs.txt"
        return frozenset(_read_text(path).split()) if path.exists() else frozenset()

    def approve_run(self, run_id: str) -> None:
        """Let a run take part, where the policy asks for that. Raises `SiteInvalid`."""
        if not RUN_ID.fullmatch(run_id):
            raise SiteInvalid(f"run={run_id!r}: must be 1 to 64 of a-z 0-9 . _ + -")
        runs = sorted({*self.approved_runs(), run_id})
        write_whole(self.folder / "approved-runs.txt", "".join(f"{r}\n" for r in runs).encode())

    def key(self) -> bytes:
        """The site's secret key. Raises `SiteInvalid` when it is missing or of a wrong length."""
        try:
            key = (self.folder / "site.key").read_bytes()
        except OSError as error:
            message = f"{self.folder}: site.key can't be read: restore it from the site's backup"
            raise SiteInvalid(message) from error
        if len(key) != KEY_BYTES:
            message = f"site.key has {len(key)} bytes: must be {KEY_BYTES}; restore it from backup"
            raise SiteInvalid(message)
        return key


def init_site(
    folder: Path, *, code: str, profile: Mapping[str, Mapping[str, Any]] | None = None
) -> Site:
    """Make a new site. `profile` holds tables of site.toml that differ from the defaults.

    Raises `SiteExists` when there is one, `SiteInvalid` for a profile or code that can't be used;
    nothing is written then.
    """
    tables = dict(profile or {})
    policy = render_policy(tables.pop("federation", {}))
    text = render_settings(code, tables)
    settings = parse_settings(text, policy)
    if (folder / "site.toml").exists() or (folder / "site.key").exists():
        message = f"{folder}: a site is there already; its key must stay, so nothing was changed"
        raise SiteExists(message)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    site = Site(folder=folder, settings=settings)
    folders = (site.clips_dir, site.held_dir, site.certificates_dir, site.cache_dir, site.logs_dir)
    for path in folders:
        path.mkdir(exist_ok=True, mode=0o700)
    write_private(folder / "site.key", secrets.token_bytes(KEY_BYTES))
    # here and nowhere else: a trainer that made a missing ledger would forget what was spent
    site.open_ledger(must_exist=False)
    write_whole(folder / "policy.toml", policy.encode())
    write_whole(folder / "site.toml", text.encode())
    return site


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        message = f"{path}: can't be read as UTF-8 text ({type(error).__name__}); correct it"
        raise SiteInvalid(message) from error
