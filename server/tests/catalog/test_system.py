"""The system catalog: its ids and its properties."""

from __future__ import annotations

import pytest

from trice.catalog.catalog import Catalog
from trice.catalog.system import SYSTEM_ETYPES, system_attrs

# Name, low half of the attr id and of the identity id; for links also the reverse side's.
IDS = """
$users.id a4b4-81ffffffffff
$users.email a4b4-46010bffffff
$users.type a4b5-3cbc9fffffff
$users.imageURL a4b4-8600c4a457ff
$users.linkedPrimaryUser a4b4-b7d3ffffffff $users.linkedGuestUsers a4b4-b353ffffffff
$magicCodes.id 60b4-81ffffffffff
$magicCodes.codeHash 60b4-270c87048fff
$magicCodes.email 60b4-46010bffffff
$userRefreshTokens.id a474-81ffffffffff
$userRefreshTokens.hashedToken a474-7048e41cdcaf
$userRefreshTokens.$user a475-49123fffffff $users.$userRefreshTokens a4b5-48ffffffffff
$oauthProviders.id 73f4-81ffffffffff
$oauthProviders.name 73f4-d0309fffffff
$oauthUserLinks.id 72f4-81ffffffffff
$oauthUserLinks.sub 72f5-2a07ffffffff
$oauthUserLinks.$user 72f5-49123fffffff $users.$oauthUserLinks a4b4-e5ffffffffff
$oauthUserLinks.$oauthProvider 72f4-e7c5d540c91f $oauthProviders.$oauthUserLinks 73f4-e5ffffffffff
$oauthUserLinks.sub+$oauthProvider 72f5-2a05f175503f
$oauthClients.id 70b4-81ffffffffff
$oauthClients.$oauthProvider 70b4-e7c5d540c91f $oauthProviders.$oauthClients 73f4-e17fffffffff
$oauthClients.name 70b4-d0309fffffff
$oauthClients.clientId 70b4-25a08d9a07ff
$oauthClients.encryptedClientSecret 70b4-46884b44882f
$oauthClients.discoveryEndpoint 70b4-34484ea91a3f
$oauthClients.meta 70b4-c24c1fffffff
$oauthClients.redirectTo 70b5-120d1120a6ef
$oauthClients.useSharedCredentials 70b5-49124704451f
$oauthCodes.id 13b4-81ffffffffff
$oauthCodes.codeHash 13b4-270c87048fff
$oauthCodes.codeChallengeMethod 13b4-211c0b61267f
$oauthCodes.codeChallenge 13b4-270c823816bf
$oauthCodes.userInfo 13b5-49122d2bbfff
$oauthCodes.$oauthClient 13b4-e0504b411b3f $oauthClients.$oauthCodes 70b4-277fffffffff
$oauthRedirects.id 7474-81ffffffffff
$oauthRedirects.stateHash 7475-29826438247f
$oauthRedirects.cookieHash 7474-27394838247f
$oauthRedirects.redirectUrl 7475-120d112522bf
$oauthRedirects.redirectTo 7475-120d1120a6ef
$oauthRedirects.$oauthClient 7474-e0504b411b3f $oauthClients.$oauthRedirects 70b4-e8ffffffffff
$oauthRedirects.codeChallengeMethod 7474-211c0b61267f
$oauthRedirects.codeChallenge 7474-270c823816bf
$files.id 2a34-81ffffffffff
$files.path 2a34-f04cffffffff
$files.size 2a35-24609fffffff
$files.content-type 2a34-29e5e4ffffff
$files.content-disposition 2a34-21a24fffffff
$files.location-id 2a34-b40fffffffff
$files.key-version 2a34-aaffffffffff
$files.url 2a35-48afffffffff
$streams.id 94f4-81ffffffffff
$streams.clientId 94f4-25a08d9a07ff
$streams.machineId 94f4-c008e869103f
$streams.$files 94f4-547fffffffff $files.$stream 2a35-29c48067ffff
$streams.done 94f4-37349fffffff
$streams.size 94f5-24609fffffff
$streams.hashedReconnectToken 94f4-7048f124dcaf
$streams.abortReason 94f4-00c6712024df
"""

OWN_IDS = """
$files.content-hash 2a34-238247ffffff
$userPasswords.id a3f4-81ffffffffff
$userPasswords.hash a3f4-7048ffffffff
$userPasswords.$user a3f5-49123fffffff $users.$userPasswords a4b5-47ffffffffff
$userPasskeys.id a2b4-81ffffffffff
$userPasskeys.credentialId a2b4-2890681fffff
$userPasskeys.publicKey a2b4-fa0544cfffff
$userPasskeys.signCount a2b5-2419a2751b3f
$userPasskeys.rpId a2b5-17a07fffffff
$userPasskeys.name a2b4-d0309fffffff
$userPasskeys.lastUsedAt a2b4-b04a749107ff
$userPasskeys.$user a2b5-49123fffffff $users.$userPasskeys a4b5-457fffffffff
$passkeyChallenges.id 78b4-81ffffffffff
$passkeyChallenges.challengeHash 78b4-238167048fff
$passkeyChallenges.purpose 78b4-fa45ee913fff
$passkeyChallenges.origin 78b4-e8a0c86fffff
$passkeyChallenges.rpId 78b5-17a07fffffff
$passkeyChallenges.expiresAt 78b4-4bbd1124813f
$passkeyChallenges.$user 78b5-49123fffffff $users.$passkeyChallenges a4b4-f17fffffffff
$jobs.id 4bb4-81ffffffffff
$jobs.function 4bb4-5a3453439bff
$jobs.args 4bb4-089a5fffffff
$jobs.state 4bb5-298264ffffff
$jobs.kind 4bb4-a4347fffffff
$jobs.dueAt 4bb4-3a1013ffffff
$jobs.scheduledFor 4bb5-211c832ba3ff
$jobs.key 4bb4-a267ffffffff
$jobs.activeKey 4bb4-014d1522899f
$jobs.runId 4bb5-1a3503ffffff
$jobs.cron 4bb4-28b9bfffffff
$jobs.attempt 4bb4-09cc8c7cffff
$jobs.retry 4bb5-124e39ffffff
$jobs.lease 4bb4-b20244ffffff
$jobs.leaseUntil 4bb4-b20244a367ff
$jobs.startedAt 4bb5-29823320c13f
$jobs.finishedAt 4bb4-5435123907ff
$jobs.result 4bb5-124a8b9fffff
$jobs.error 4bb4-48c5d1ffffff
$jobs.steps 4bb5-2991f2ffffff
$jobs.trace 4bb5-388044ffffff
$hooks.id 3bb4-81ffffffffff
$hooks.name 3bb4-d0309fffffff
$hooks.state 3bb5-298264ffffff
$hooks.place 3bb4-f58044ffffff
$hooks.done 3bb4-37349fffffff
$hooks.failures 3bb4-5021748925ff
$hooks.dueAt 3bb4-3a1013ffffff
$hooks.error 3bb4-48c5d1ffffff
$hooks.parked 3bb4-f045441fffff
$files.content-hash 2a34-238247ffffff
"""
"""Of the namespaces and attrs that Instant does not have."""


@pytest.mark.rule("C1", "A150")
def test_ids_are_the_ones_instant_has_and_our_own_never_change() -> None:
    expected = {}
    for line in (IDS + OWN_IDS.lstrip()).strip().splitlines():
        name, low, *reverse = line.split()
        expected[name] = (
            f"96653230-13ff-ffff-{low}",
            f"96653231-03ff-ffff-{low}",
            (reverse[0], f"96653231-03ff-ffff-{reverse[1]}") if reverse else None,
        )
    found = {
        attr.name: (
            attr.id,
            attr.forward.id,
            (f"{attr.reverse.etype}.{attr.reverse.label}", attr.reverse.id)
            if attr.reverse
            else None,
        )
        for attr in system_attrs()
    }
    assert found == expected
    assert len({attr.id for attr in system_attrs()}) == 57 + 19 + 21 + 9


@pytest.mark.rule("C2")
def test_properties() -> None:
    catalog = Catalog(system_attrs())

    def flags(name: str) -> str:
        attr = catalog.find_forward(*name.split("."))
        assert attr is not None and attr.is_system
        letters = zip("uir", (attr.is_unique, attr.is_indexed, attr.is_required), strict=True)
        return "".join(letter for letter, is_set in letters if is_set) + f" {attr.checked_type}"

    assert {name: flags(name) for name in ("$users.id", "$users.email", "$users.type")} == {
        "$users.id": "ui None",
        "$users.email": "ui string",
        "$users.type": " string",
    }
    assert flags("$files.path") == "uir string"
    assert flags("$files.size") == "ir number"
    assert flags("$files.url") == " string"
    assert flags("$streams.clientId") == "uir string"
    assert flags("$streams.done") == " boolean"
    assert flags("$magicCodes.codeHash") == "i string"
    assert flags("$oauthUserLinks.sub+$oauthProvider") == "ui string"
    assert set(catalog.namespaces) == SYSTEM_ETYPES
    assert all(space.id_attr is not None for space in catalog.namespaces.values())


@pytest.mark.rule("C2")
def test_links() -> None:
    catalog = Catalog(system_attrs())
    links = {
        attr.name: (attr.cardinality, attr.is_unique, attr.on_delete, attr.on_delete_reverse)
        for attr in catalog.by_id.values()
        if attr.is_ref
    }
    assert links == {
        "$users.linkedPrimaryUser": ("one", False, "cascade", None),
        "$userRefreshTokens.$user": ("one", False, "cascade", None),
        "$oauthUserLinks.$user": ("one", False, "cascade", None),
        "$oauthClients.$oauthProvider": ("one", False, "cascade", None),
        "$oauthCodes.$oauthClient": ("one", False, "cascade", None),
        "$oauthRedirects.$oauthClient": ("one", False, "cascade", None),
        "$streams.$files": ("many", True, None, "cascade"),
        "$userPasswords.$user": ("one", True, "cascade", None),
        "$userPasskeys.$user": ("one", False, "cascade", None),
        "$passkeyChallenges.$user": ("one", False, "cascade", None),
    }
    oddity = catalog.find_forward("$oauthUserLinks", "$oauthProvider")
    assert oddity is not None and oddity.reverse is not None and not oddity.is_ref
    assert catalog.find_reverse(*oddity.reverse.name) is None
