"""The namespaces every app has: `$users`, `$files`, `$streams` and the internal ones. No I/O.

Their attrs have the same ids in every app and, where Instant has them too, in its own catalog, so
imported data and caches agree. An id is a text in disguise: five bits a character, most significant
first, padded with ones. `systemat` and `us/email` make the attr id of `$users.email`; `systemid` in
the first half makes its identity id. The short codes below are what the known ids decode to.
"""

from __future__ import annotations

from typing import Final

from trice.catalog.attr import INFERRED_BITS, Attr, AttrName, CheckedType
from trice.protocol.ids import AttrId

# `z` before `y` is how the reference has it (instant-http §1.13, Fixed ids).
_ALPHABET: Final = "abcdefghijklmnopqrstuvwxzy/"

EXTENSIBLE: Final = frozenset({"$users", "$files", "$streams"})
"""System namespaces to which an app may add attrs of its own; shown in schema views."""

WRITABLE: Final = frozenset(
    {("$users", "id"), ("$files", "id"), ("$files", "path"), ("$streams", "id")}
)
"""System attrs that anybody may write if the rules allow it."""

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
    # Beyond Instant's catalog: what passwords and passkeys need.
    "$userPasswords": "up",
    "$userPasskeys": "uk",
    "$passkeyChallenges": "pc",
}

SYSTEM_ETYPES: Final = frozenset(_CODES)
"""Every namespace of the system catalog."""

# namespace, label, code of the label, type, flags (u unique, i indexed, r required)
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
"""

# namespace, label, code, target, reverse label, its code, cardinality, flags
# (u unique, i indexed, c on-delete cascade, C on-delete-reverse cascade)
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

_CHECKED: Final[dict[str, CheckedType]] = {
    "string": "string",
    "number": "number",
    "boolean": "boolean",
}


def system_attrs() -> list[Attr]:
    """Every attr of the system catalog, not yet placed in a table."""
    fields = [_field(*line.split()) for line in _FIELDS.strip().splitlines()]
    return fields + [_link(*line.split()) for line in _LINKS.strip().splitlines()]


def _field(etype: str, label: str, code: str, kind: str, flags: str) -> Attr:
    reverse = None
    if (etype, label) == ("$oauthUserLinks", "$oauthProvider"):
        # A field with a reverse name, though no link: an oddity that exported catalogs contain.
        reverse = _identity("$oauthProviders", "$oauthUserLinks", "ol")
    return Attr(
        id=AttrId(_fixed_id("systemat", f"{_CODES[etype]}/{code}")),
        forward=_identity(etype, label, code),
        reverse=reverse,
        value_type="blob",
        cardinality="one",
        is_unique="u" in flags,
        is_indexed="i" in flags,
        is_required="r" in flags,
        checked_type=_CHECKED.get(kind),
        inferred=INFERRED_BITS["string"] if label == "id" else INFERRED_BITS.get(kind, 0),
        is_system=True,
    )


def _link(
    etype: str,
    label: str,
    code: str,
    target: str,
    reverse_label: str,
    reverse_code: str,
    cardinality: str,
    flags: str,
) -> Attr:
    return Attr(
        id=AttrId(_fixed_id("systemat", f"{_CODES[etype]}/{code}")),
        forward=_identity(etype, label, code),
        reverse=_identity(target, reverse_label, reverse_code),
        value_type="ref",
        cardinality="many" if cardinality == "many" else "one",
        is_unique="u" in flags,
        is_indexed="i" in flags,
        on_delete="cascade" if "c" in flags else None,
        on_delete_reverse="cascade" if "C" in flags else None,
        inferred=INFERRED_BITS["string"],
        is_system=True,
    )


def _identity(etype: str, label: str, code: str) -> AttrName:
    return AttrName(_fixed_id("systemid", f"{_CODES[etype]}/{code}"), etype, label)


def _fixed_id(high: str, low: str) -> str:
    """The uuid that spells `high` and `low`, at most twelve characters each."""
    text = f"{_bits(high)}{_bits(low)}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _bits(text: str) -> str:
    """64 bits as 16 hex digits: five a character, padded with ones."""
    number = 0
    for char in text:
        number = number << 5 | _ALPHABET.index(char)
    padding = 64 - 5 * len(text)
    return f"{(number + 1 << padding) - 1:016x}"
