"""What each side refuses, and that nothing is answered then."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ophora_privacy.errors import InputRefused, InvalidPlan, MessageRefused, TooFewSites
from ophora_privacy.secure_sum import Roster, SecureSumCoordinator, SecureSumSite, SiteIdentity
from ophora_privacy.secure_sum.cohort import ADVERT, advert_body
from ophora_privacy.secure_sum.messages import (
    Confirmation,
    KeyRoster,
    RevealedShare,
    SurvivorList,
    UnmaskRequest,
)

replace = dataclasses.replace


def _flipped(data: bytes) -> bytes:
    return data[:8] + bytes([data[8] ^ 1]) + data[9:]


def _resigned(round_: Any, advert: Any, **changed: bytes) -> Any:
    changed_one = replace(advert, **changed)
    identity = round_.identities[advert.sender]
    return replace(changed_one, signature=identity.sign(ADVERT, advert_body(changed_one)))


# Keys


@pytest.mark.parametrize("field", ["seal_key", "mask_key", "commitment", "signature"])
def test_a_coordinator_that_changes_an_advert_is_refused_by_the_sites(
    federation: Callable[..., Any], field: str
) -> None:
    round_ = federation(number=4)
    keys = round_.keys(round_.names)
    forged = replace(keys.adverts[2], **{field: _flipped(getattr(keys.adverts[2], field))})
    adverts = (*keys.adverts[:2], forged, keys.adverts[3])
    with pytest.raises(MessageRefused, match="signature"):
        round_.sites["s00"].share_keys(replace(keys, adverts=adverts))
    round_.sites["s00"].share_keys(keys)  # the right one is still answered


def test_a_coordinator_cannot_put_in_a_site_of_its_own(federation: Callable[..., Any]) -> None:
    round_ = federation(number=5)
    keys = round_.keys(round_.names[:4])
    own = SiteIdentity("s99", Ed25519PrivateKey.generate())
    advert = replace(keys.adverts[3], sender="s99")
    advert = replace(advert, signature=own.sign(ADVERT, advert_body(advert)))
    for adverts in ((*keys.adverts, advert), (*keys.adverts[:3], advert)):
        with pytest.raises(MessageRefused, match="roster"):
            round_.sites["s00"].share_keys(replace(keys, adverts=adverts))
    with pytest.raises(MessageRefused):
        round_.coordinator.receive(advert)


def test_the_coordinator_refuses_a_forged_advert(federation: Callable[..., Any]) -> None:
    round_ = federation(number=3)
    advert = round_.sites["s00"].advertise()
    with pytest.raises(MessageRefused, match="signature"):
        round_.coordinator.receive(replace(advert, sender="s01"))
    round_.coordinator.receive(advert)
    with pytest.raises(MessageRefused, match="second"):
        round_.coordinator.receive(advert)


def test_a_site_wants_its_own_advert_back_unchanged(federation: Callable[..., Any]) -> None:
    round_ = federation(number=4)
    keys = round_.keys(round_.names)
    older = SecureSumSite(round_.plan, round_.identities["s00"], round_.roster).advertise()
    for adverts in ((older, *keys.adverts[1:]), keys.adverts[1:]):
        with pytest.raises(MessageRefused, match="own advert"):
            round_.sites["s00"].share_keys(replace(keys, adverts=adverts))


def test_too_few_adverts_end_the_round_on_both_sides(federation: Callable[..., Any]) -> None:
    round_ = federation(number=5, min_sites=4)
    adverts = tuple(round_.sites[name].advertise() for name in ("s00", "s01", "s02"))
    for advert in adverts:
        round_.coordinator.receive(advert)
    with pytest.raises(TooFewSites, match="min_sites=4"):
        round_.coordinator.close_adverts()
    with pytest.raises(TooFewSites, match="min_sites=4"):
        round_.sites["s00"].share_keys(KeyRoster(tag=round_.plan.tag(), adverts=adverts))


def test_unsorted_and_doubled_adverts_are_refused(federation: Callable[..., Any]) -> None:
    round_ = federation(number=4)
    keys = round_.keys(round_.names)
    for adverts in (keys.adverts[::-1], (*keys.adverts, keys.adverts[3])):
        with pytest.raises(MessageRefused, match="sorted"):
            round_.sites["s00"].share_keys(replace(keys, adverts=adverts))


def test_a_public_key_of_low_order_is_refused(federation: Callable[..., Any]) -> None:
    round_ = federation(number=4)
    keys = round_.keys(round_.names)
    bad = _resigned(round_, keys.adverts[3], seal_key=bytes(32))
    with pytest.raises(MessageRefused, match="low order"):
        round_.sites["s00"].share_keys(replace(keys, adverts=(*keys.adverts[:3], bad)))


def test_a_site_off_the_pinned_roster_or_with_another_roster_takes_no_part(
    federation: Callable[..., Any],
) -> None:
    round_ = federation(number=3)
    stranger = SiteIdentity("s00", Ed25519PrivateKey.generate())
    with pytest.raises(InvalidPlan, match="on the roster"):
        SecureSumSite(round_.plan, stranger, round_.roster)
    wider = Roster({**round_.roster.keys, "s99": bytes(range(32))})
    with pytest.raises(InvalidPlan, match="pinned"):
        SecureSumSite(round_.plan, round_.identities["s00"], wider)
    with pytest.raises(InvalidPlan, match="roster_digest"):
        SecureSumCoordinator(round_.plan, wider)


# Shares and inputs


def test_a_tampered_share_is_refused_and_no_input_sent(federation: Callable[..., Any]) -> None:
    round_ = federation(number=4)
    relayed = round_.shares(round_.keys(round_.names), round_.names)
    vector = round_.vector(round_.values(0)["s00"])
    good = relayed["s00"]
    for field in ("nonce", "ciphertext"):
        forged = replace(good.sealed[1], **{field: _flipped(getattr(good.sealed[1], field))})
        sealed = (good.sealed[0], forged, good.sealed[2])
        with pytest.raises(MessageRefused, match="changed on its way"):
            round_.sites["s00"].masked_input(replace(good, sealed=sealed), vector)
    round_.sites["s00"].masked_input(good, vector)


def test_shares_of_another_round_or_for_another_site_are_refused(
    federation: Callable[..., Any],
) -> None:
    first = federation(number=4)
    second = federation(number=4, round_id="round 2", identities=first.identities)
    old = first.shares(first.keys(first.names), first.names)["s00"]
    new = second.shares(second.keys(second.names), second.names)
    vector = second.vector(second.values(0)["s00"])
    site = second.sites["s00"]
    with pytest.raises(MessageRefused, match="another round"):
        site.masked_input(old, vector)
    with pytest.raises(MessageRefused, match="changed on its way"):
        site.masked_input(replace(old, tag=second.plan.tag()), vector)
    with pytest.raises(MessageRefused, match="this site's"):
        site.masked_input(new["s01"], vector)
    stolen = tuple(
        replace(share, recipient="s00", sender=other)
        for share, other in zip(new["s01"].sealed, ("s01", "s02", "s03"), strict=True)
    )
    with pytest.raises(MessageRefused, match="changed on its way"):
        site.masked_input(replace(new["s00"], sealed=stolen), vector)


def test_missing_and_unasked_shares_are_refused(federation: Callable[..., Any]) -> None:
    round_ = federation(number=5)
    good = round_.shares(round_.keys(round_.names), round_.names)["s00"]
    vector = round_.vector(round_.values(0)["s00"])
    site = round_.sites["s00"]
    for sealed in (good.sealed[:-1], good.sealed[::-1], (*good.sealed, good.sealed[0])):
        with pytest.raises(MessageRefused, match="one from each"):
            site.masked_input(replace(good, sealed=sealed), vector)
    with pytest.raises(TooFewSites, match="min_sites"):
        site.masked_input(replace(good, members=("s00", "s01"), sealed=good.sealed[:1]), vector)
    three = replace(good, members=("s00", "s01", "s02"), sealed=good.sealed[:2])
    with pytest.raises(TooFewSites, match="neighbours=2"):
        site.masked_input(three, vector)


def test_the_coordinator_takes_one_share_a_neighbour_and_one_input_a_site(
    federation: Callable[..., Any],
) -> None:
    round_ = federation(number=4)
    keys = round_.keys(round_.names)
    shared = {name: round_.sites[name].share_keys(keys) for name in round_.names}
    with pytest.raises(MessageRefused, match="each neighbour once"):
        round_.coordinator.receive(replace(shared["s00"], sealed=shared["s00"].sealed[:2]))
    with pytest.raises(MessageRefused, match="each neighbour once"):
        round_.coordinator.receive(replace(shared["s00"], sender="s01"))
    for message in shared.values():
        round_.coordinator.receive(message)
    relayed = round_.coordinator.close_shares()
    vector = round_.vector(round_.values(0)["s00"])
    message = round_.sites["s00"].masked_input(relayed["s00"], vector)
    for words in (message.words[:-4], message.words + bytes(4), b""):
        with pytest.raises(MessageRefused, match="words"):
            round_.coordinator.receive(replace(message, words=words))
    with pytest.raises(MessageRefused, match="another round"):
        round_.coordinator.receive(replace(message, tag=bytes(32)))
    with pytest.raises(MessageRefused, match="dropped out"):
        round_.coordinator.receive(replace(message, sender="s99"))
    round_.coordinator.receive(message)
    with pytest.raises(MessageRefused, match="second"):
        round_.coordinator.receive(message)
    with pytest.raises(MessageRefused, match="out of turn"):
        round_.coordinator.receive(shared["s00"])
    with pytest.raises(MessageRefused, match="out of turn"):
        round_.sites["s00"].masked_input(relayed["s00"], vector)


def test_an_input_from_another_grid_or_without_its_noise_is_refused(
    federation: Callable[..., Any],
) -> None:
    plain, noised = federation(number=3), federation(number=3, noise_std=0.1)
    other_bound = federation(number=3, bound=2.0)
    relayed = noised.shares(noised.keys(noised.names), noised.names)["s00"]
    site = noised.sites["s00"]
    flat = np.zeros(8, np.float32)
    for grid in (plain.plan.grid, other_bound.plan.grid):
        with pytest.raises(InputRefused, match="grid"):
            site.masked_input(relayed, grid.encode(flat))
    with pytest.raises(InputRefused, match="8 values"):
        site.masked_input(relayed, noised.plan.grid.encode(flat[:5]))
    with pytest.raises(InputRefused, match="noise share"):
        site.masked_input(relayed, noised.plan.grid.encode(flat))


def test_an_input_that_has_left_masked_is_not_put_in_another_sum(
    federation: Callable[..., Any],
) -> None:
    """The others can unmask the first sum without the site, which is told nothing of it."""
    first = federation(number=4)
    vectors = {name: first.vector(values) for name, values in first.values(0).items()}
    relayed = first.shares(first.keys(first.names), first.names)
    for name in first.names:
        first.coordinator.receive(first.sites[name].masked_input(relayed[name], vectors[name]))
    others = [name for name in first.names if name != "s00"]
    request = first.request(first.coordinator.close_inputs(), others)
    for name in others:
        first.coordinator.receive(first.sites[name].unmask(request))
    assert "s00" in first.coordinator.result().survivors
    again = federation(number=4, round_id="again", identities=first.identities)
    relayed = again.shares(again.keys(again.names), again.names)
    with pytest.raises(InputRefused, match="already"):
        again.sites["s00"].masked_input(relayed["s00"], vectors["s00"])


# Survivors and unmasking


def _listed(federation: Callable[..., Any], **settings: Any) -> tuple[Any, SurvivorList]:
    round_ = federation(number=5, **settings)
    relayed = round_.shares(round_.keys(round_.names), round_.names)
    return round_, round_.inputs(relayed, round_.values(0), round_.names)


def test_a_site_confirms_one_list_only(federation: Callable[..., Any]) -> None:
    round_, survivors = _listed(federation)
    site = round_.sites["s00"]
    confirmed = site.confirm(survivors)
    assert site.confirm(survivors) == confirmed
    with pytest.raises(MessageRefused, match="another list"):
        site.confirm(replace(survivors, survivors=("s00", "s01", "s02", "s03")))


def test_a_bad_list_of_survivors_is_not_confirmed(federation: Callable[..., Any]) -> None:
    round_, survivors = _listed(federation, min_sites=4)
    site = round_.sites["s00"]
    with pytest.raises(TooFewSites, match="min_sites=4"):
        site.confirm(replace(survivors, survivors=("s00", "s01", "s02")))
    with pytest.raises(MessageRefused, match="this site"):
        site.confirm(replace(survivors, survivors=("s01", "s02", "s03", "s04")))
    for changed in ({"members": survivors.members[:-1]}, {"survivors": ("s00", "s01", "s9", "sx")}):
        with pytest.raises(MessageRefused, match="among"):
            site.confirm(replace(survivors, **changed))
    with pytest.raises(MessageRefused, match="another round"):
        site.confirm(replace(survivors, tag=bytes(32)))


def test_no_site_unmasks_before_it_has_confirmed(federation: Callable[..., Any]) -> None:
    round_, survivors = _listed(federation)
    others = [round_.sites[name].confirm(survivors) for name in round_.names[1:]]
    request = UnmaskRequest(
        tag=survivors.tag,
        survivors=survivors.survivors,
        dropped=(),
        confirmations=tuple(others),
    )
    with pytest.raises(MessageRefused, match="confirmed"):
        round_.sites["s00"].unmask(request)


def test_an_unmask_request_for_both_or_neither_or_others_is_refused(
    federation: Callable[..., Any],
) -> None:
    round_ = federation(number=5, min_sites=4)
    request = round_.to_unmask()
    site = round_.sites["s00"]
    all_but_last = request.survivors[:-1]
    for changed in (
        {"dropped": ("s03",)},  # both
        {"survivors": all_but_last},  # neither
        {"survivors": all_but_last, "dropped": ("s04",)},  # not what was confirmed
        {"dropped": ("s99",)},
        {"tag": bytes(32)},
    ):
        with pytest.raises(MessageRefused):
            site.unmask(replace(request, **changed))
    with pytest.raises(TooFewSites, match="min_sites=4"):
        site.unmask(replace(request, survivors=("s00", "s01", "s02"), dropped=("s03", "s04")))
    answer = site.unmask(request)
    assert site.unmask(request) == answer  # asked again, not asked for more
    with pytest.raises(MessageRefused, match="confirmed"):
        site.unmask(replace(request, survivors=all_but_last, dropped=("s04",)))


def test_missing_or_forged_confirmations_reveal_nothing(federation: Callable[..., Any]) -> None:
    round_ = federation(number=7)
    request = round_.to_unmask()
    site = round_.sites["s00"]
    signed = request.confirmations
    with pytest.raises(TooFewSites, match="confirmations=2"):
        site.unmask(replace(request, confirmations=signed[:2]))
    with pytest.raises(TooFewSites, match="neighbours that confirmed=3"):
        site.unmask(replace(request, confirmations=signed[:4]))
    with pytest.raises(TooFewSites, match="neighbours that confirmed=3"):
        site.unmask(replace(request, confirmations=(*signed[:4], signed[3], signed[3])))
    forged = replace(signed[6], signature=signed[5].signature)
    for bad in (forged, replace(signed[6], sender="s99"), replace(signed[6], tag=bytes(32))):
        with pytest.raises(MessageRefused):
            site.unmask(replace(request, confirmations=(*signed[:6], bad)))


def test_two_views_of_who_survived_never_unmask_both_secrets_of_a_site(
    federation: Callable[..., Any],
) -> None:
    """The coordinator tells half of the sites that s06 is in and the others that it is not."""
    round_, survivors = _seven(federation)
    without = replace(survivors, survivors=survivors.survivors[:-1])
    told = {name: survivors if name < "s03" else without for name in round_.names[:-1]}
    told["s06"] = survivors
    signed = {name: round_.sites[name].confirm(view) for name, view in told.items()}
    for name, view in told.items():
        same = [signed[other] for other, seen in told.items() if seen is view]
        request = UnmaskRequest(
            tag=view.tag,
            survivors=view.survivors,
            dropped=tuple(sorted(set(view.members) - set(view.survivors))),
            confirmations=tuple(same),
        )
        with pytest.raises(TooFewSites):
            round_.sites[name].unmask(request)


def _seven(federation: Callable[..., Any]) -> tuple[Any, SurvivorList]:
    round_ = federation(number=7)
    relayed = round_.shares(round_.keys(round_.names), round_.names)
    return round_, round_.inputs(relayed, round_.values(0), round_.names)


def test_the_coordinator_refuses_confirmations_and_answers_that_do_not_hold(
    federation: Callable[..., Any],
) -> None:
    round_, survivors = _listed(federation)
    good = round_.sites["s00"].confirm(survivors)
    with pytest.raises(MessageRefused, match="signature"):
        round_.coordinator.receive(replace(good, sender="s01"))
    with pytest.raises(MessageRefused, match="dropped out"):
        round_.coordinator.receive(Confirmation(tag=good.tag, sender="s99", signature=bytes(64)))
    request = round_.request(survivors, round_.names)
    answer = round_.sites["s00"].unmask(request)
    both = replace(answer, mask_keys=answer.self_seeds)
    for bad in (both, replace(answer, self_seeds=answer.self_seeds[:-1])):
        with pytest.raises(MessageRefused, match="one share a neighbour"):
            round_.coordinator.receive(bad)


@pytest.mark.parametrize("kind", ["self_seeds", "mask_keys"])
def test_a_wrong_share_ends_the_round_without_a_sum(
    federation: Callable[..., Any], kind: str
) -> None:
    round_ = federation(number=5)
    relayed = round_.shares(round_.keys(round_.names), round_.names)
    present = round_.names[:-1]
    request = round_.request(round_.inputs(relayed, round_.values(0), present), present)
    for name in present:
        answer = round_.sites[name].unmask(request)
        if name == "s01":
            shares = getattr(answer, kind)
            wrong = RevealedShare(owner=shares[0].owner, share=_flipped(shares[0].share))
            answer = replace(answer, **{kind: (wrong, *shares[1:])})
        round_.coordinator.receive(answer)
    masked = round_.coordinator._total.copy()
    with pytest.raises(MessageRefused, match="don't give"):
        round_.coordinator.result()
    assert (round_.coordinator._total == masked).all()


@pytest.mark.parametrize("phase", ["share_keys", "masked_input", "confirm", "unmask"])
def test_too_many_dropouts_end_the_round_without_a_sum(
    federation: Callable[..., Any], phase: str
) -> None:
    round_ = federation(number=6, min_sites=5)
    with pytest.raises(TooFewSites):
        round_.run(round_.values(0), {phase: ["s00", "s01"]})


def test_the_threshold_counts_where_min_sites_would_allow_more_dropouts(
    federation: Callable[..., Any],
) -> None:
    round_ = federation(number=9, min_sites=3)
    with pytest.raises(TooFewSites, match="neighbours"):
        round_.run(round_.values(0), {"unmask": ["s00", "s01", "s02", "s03"]})


def test_phases_come_in_their_order(federation: Callable[..., Any]) -> None:
    round_ = federation(number=3)
    for close in (
        round_.coordinator.close_shares,
        round_.coordinator.close_inputs,
        round_.coordinator.close_confirmations,
        round_.coordinator.result,
    ):
        with pytest.raises(MessageRefused, match="phase"):
            close()
    round_.run(round_.values(0))
    with pytest.raises(MessageRefused, match="phase"):
        round_.coordinator.result()
    with pytest.raises(MessageRefused, match="out of turn"):
        round_.sites["s00"].advertise()
