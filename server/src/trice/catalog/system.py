"""The namespaces every app has: `$users`, `$files`, `$streams` and the internal ones. No I/O.

Their attrs have the same ids in every app. Where Instant has them too, its catalog has these ids,
so imported data and caches agree (`catalog.declared`). The short codes below are decoded from
Instant's ids.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from trice.catalog.attr import Attr
from trice.catalog.declared import Declaration
from trice.protocol.ids import AttrId

EXTENSIBLE: Final = frozenset({"$users", "$files", "$streams"})
"""System namespaces to which an app may add attrs of its own; shown in schema views."""

WRITABLE: Final = frozenset(
    {("$users", "id"), ("$files", "id"), ("$files", "path"), ("$streams", "id")}
)
"""System attrs that every caller may write if the rules allow it."""

_CODES: Final = {
    "$users": "us",
    "$magicCodes": "mc",
    "$userRefreshTokens": "ur",
    "$oauthProviders": "op",
    "$oauthUserLinks": "ol",
    "$oauthClients": "oc",
    "$oauthCodes": "co",
    "$oauthRedirects": "or",
    "$files": "fi",
    "$streams": "st",
    # Not in Instant's catalog: for passwords and passkeys.
    "$userPasswords": "up",
    "$userPasskeys": "uk",
    "$passkeyChallenges": "pc",
    # Not in Instant's catalog: work of functions that is to be done later (calls/jobs).
    "$jobs": "jo",
    # Not in Instant's catalog: how far functions have followed the log (calls/hooks).
    "$hooks": "ho",
}

SYSTEM_ETYPES: Final = frozenset(_CODES)
"""Every namespace of the system catalog."""

_FIELDS: Final = """
$users             id                    id          any     ui
$users             email                 email       string  ui
$users             type                  type        string  -
$users             imageURL              imageurl    string  -
$magicCodes        id                    id          any     ui
$magicCodes        codeHash              codehash    string  i
$magicCodes        email                 email       string  i
$userRefreshTokens id                    id          any     ui
$userRefreshTokens hashedToken           hashedtok   string  ui
$oauthProviders    id                    id          any     ui
$oauthProviders    name                  name        string  ui
$oauthUserLinks    id                    id          any     ui
$oauthUserLinks    sub                   sub         string  i
$oauthUserLinks    $oauthProvider        oprovider   any     i
$oauthUserLinks    sub+$oauthProvider    subprovid   string  ui
$oauthClients      id                    id          any     ui
$oauthClients      name                  name        string  ui
$oauthClients      clientId              clientid    any     i
$oauthClients      encryptedClientSecret encclisec   string  -
$oauthClients      discoveryEndpoint     discovend   string  -
$oauthClients      meta                  meta        any     -
$oauthClients      redirectTo            redirecto   string  -
$oauthClients      useSharedCredentials  usesharcr   boolean -
$oauthCodes        id                    id          any     ui
$oauthCodes        codeHash              codehash    string  ui
$oauthCodes        codeChallengeMethod   cchalmeth   string  -
$oauthCodes        codeChallenge         codechall   string  -
$oauthCodes        userInfo              usernfo     any     -
$oauthRedirects    id                    id          any     ui
$oauthRedirects    stateHash             statehash   string  ui
$oauthRedirects    cookieHash            cookihash   string  -
$oauthRedirects    redirectUrl           redireurl   string  -
$oauthRedirects    redirectTo            redirecto   string  -
$oauthRedirects    codeChallengeMethod   cchalmeth   string  -
$oauthRedirects    codeChallenge         codechall   string  -
$files             id                    id          any     ui
$files             path                  path        string  uir
$files             size                  size        number  ir
$files             content-type          ctype       string  i
$files             content-disposition   cdisp       string  i
$files             location-id           lid         string  uir
$files             key-version           kv          number  -
$files             url                   url         string  -
$files             content-hash          chash       string  i
$streams           id                    id          any     ui
$streams           clientId              clientid    string  uir
$streams           machineId             machineid   string  -
$streams           done                  done        boolean -
$streams           size                  size        number  -
$streams           hashedReconnectToken  hashretok   string  -
$streams           abortReason           abrtreasn   string  -
$userPasswords     id                    id          any     ui
$userPasswords     hash                  hash        string  -
$userPasskeys      id                    id          any     ui
$userPasskeys      credentialId          credid      string  ui
$userPasskeys      publicKey             pubkey      string  -
$userPasskeys      signCount             signcount   number  -
$userPasskeys      rpId                  rpid        string  -
$userPasskeys      name                  name        string  -
$userPasskeys      lastUsedAt            lastused    number  -
$passkeyChallenges id                    id          any     ui
$passkeyChallenges challengeHash         chalhash    string  ui
$passkeyChallenges purpose               purpose     string  -
$passkeyChallenges origin                origin      string  -
$passkeyChallenges rpId                  rpid        string  -
$passkeyChallenges expiresAt             expiresat   number  i
$jobs              id                    id          any     ui
$jobs              function              function    string  i
$jobs              args                  args        json    -
$jobs              state                 state       string  i
$jobs              kind                  kind        string  -
$jobs              dueAt                 dueat       number  i
$jobs              scheduledFor          schedfor    number  -
$jobs              key                   key         string  -
$jobs              activeKey             activekey   string  i
$jobs              runId                 runid       string  ui
$jobs              cron                  cron        string  -
$jobs              attempt               attempt     number  -
$jobs              retry                 retry       json    -
$jobs              lease                 lease       string  -
$jobs              leaseUntil            leaseunt    number  i
$jobs              startedAt             startedat   number  -
$jobs              finishedAt            finished    number  i
$jobs              result                result      json    -
$jobs              error                 error       json    -
$jobs              steps                 steps       json    -
$jobs              trace                 trace       string  -
$hooks             id                    id          any     ui
$hooks             name                  name        string  ui
$hooks             state                 state       string  i
$hooks             place                 place       number  i
$hooks             done                  done        number  -
$hooks             failures              failures    number  -
$hooks             dueAt                 dueat       number  -
$hooks             error                 error       json    -
$hooks             parked                parked      number  -
"""

_LINKS: Final = """
$users             linkedPrimaryUser lpu       $users          linkedGuestUsers   lgu    one  c
$userRefreshTokens $user             user      $users          $userRefreshTokens ur     one  ic
$oauthUserLinks    $user             user      $users          $oauthUserLinks    ol     one  ic
$oauthClients      $oauthProvider    oprovider $oauthProviders $oauthClients      oc     one  c
$oauthCodes        $oauthClient      oauclient $oauthClients   $oauthCodes        co     one  c
$oauthRedirects    $oauthClient      oauclient $oauthClients   $oauthRedirects    or     one  c
$streams           $files            fi        $files          $stream            stream many uC
$userPasswords     $user             user      $users          $userPasswords     up     one  uic
$userPasskeys      $user             user      $users          $userPasskeys      uk     one  ic
$passkeyChallenges $user             user      $users          $passkeyChallenges pc     one  ic
"""


def system_attrs() -> list[Attr]:
    """Every attr of the system catalog, not yet placed in a table."""
    declared = Declaration("systemat", "systemid", codes=_CODES, fields=_FIELDS, links=_LINKS)
    # A field with a reverse name, though it is no link: exported catalogs contain this oddity.
    odd = declared.name("$oauthProviders", "$oauthUserLinks", "ol")
    return [
        replace(attr, reverse=odd) if attr.name == "$oauthUserLinks.$oauthProvider" else attr
        for attr in declared.attrs()
    ]


_FILES: Final = {attr.label: attr for attr in system_attrs() if attr.etype == "$files"}
URL_ATTR: Final = _FILES["url"].id
"""`$files.url` is never stored: answers compute it from the cell of `LOCATION_ATTR`."""

LOCATION_ATTR: Final = _FILES["location-id"].id


def stored_as(attr_id: AttrId) -> AttrId:
    """The attr whose cell answers hold for `attr_id`: itself, but for a computed one."""
    return LOCATION_ATTR if attr_id == URL_ATTR else attr_id
