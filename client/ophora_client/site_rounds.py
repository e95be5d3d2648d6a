"""A site's folder as its rounds need it: policy, ledger, tuner and log."""

from __future__ import annotations

from pathlib import Path

from ophora_client.clip_sources import hold_out_patients
from ophora_client.local_round import LocalRounds
from ophora_client.model_tuner import ModelTuner
from ophora_client.policy import SitePolicy
from ophora_client.roster import Membership, open_membership
from ophora_client.round_log import RoundLog
from ophora_client.site import Site
from ophora_client.step_meter import StepMeter
from ophora_client.tuner import Tuner


def read_policy(folder: Path) -> SitePolicy:
    """What the site agrees to, from its own settings file."""
    return _policy(Site.open(folder))


def open_rounds(
    folder: Path, tuner: Tuner | None = None, meter: StepMeter | None = None
) -> LocalRounds:
    """The site's rounds with its base loaded and its cache filled, or with the tuner given."""
    site = Site.open(folder)
    policy = _policy(site)
    ledger = site.open_ledger()
    log = RoundLog(site.logs_dir, meter)
    if tuner is None:
        share = site.settings.audit.held_out_share
        hold_out_patients(site.manifest_path, key=site.key(), share=share)
        tuner = model = ModelTuner(
            preset=policy.preset,
            base_folder=policy.base_folder,
            manifest=site.manifest_path,
            clips=site.clips_dir,
            cache=site.cache_dir,
            key=site.key(),
            performance=site.settings.performance.to_settings(),
        )
        model.fill_cache()

    def membership() -> Membership | None:
        return open_membership(folder, code=policy.site)

    return LocalRounds(lambda: read_policy(folder), ledger, tuner, log, membership)


def _policy(site: Site) -> SitePolicy:
    settings = site.settings
    return SitePolicy(
        site=settings.site.code,
        preset=settings.model.preset,
        base_folder=Path(settings.model.base_folder) if settings.model.base_folder else None,
        epsilon_cap=settings.privacy.epsilon_cap,
        delta=settings.privacy.delta,
        share_loss=settings.privacy.share_loss,
        limits=settings.federation,
        approved_runs=site.approved_runs(),
    )
