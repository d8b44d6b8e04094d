"""The namespaces of the platform's own database: apps, their code, accounts, OAuth. No I/O.

Attrs of later versions are added to the database when it is opened, as an app's system attrs are.
"""

from __future__ import annotations

from typing import Final

from trice.catalog.attr import Attr
from trice.catalog.declared import Declaration

_CODES: Final = {
    "$apps": "ap",
    "$accounts": "ac",
    "$accountTokens": "at",
    "$orgs": "og",
    "$orgMembers": "om",
    "$schemaJobs": "sj",
    "$oauthApps": "oa",
    "$oauthClients": "oc",
    "$oauthSecrets": "os",
    "$oauthTokens": "ot",
    "$appTransfers": "tr",
    "$webhooks": "wh",
    "$webhookEvents": "we",
    "$appCode": "cd",
    "$deployments": "dp",
}

# Titles, rules and settings are JSON kept as text: developers get back what they wrote. The keys of
# a stored object would be sorted, and a stored text has no zero character.
_FIELDS: Final = """
$apps              id                    id          any     ui
$apps              title                 title       string  -
$apps              adminTokenHash        tokenhash   string  i
$apps              isOpen                isopen      boolean -
$apps              rules                 rules       string  -
$apps              settings              settings    string  -
$apps              createdAt             createdat   number  -
$apps              expiresAt             expiresat   number  i
$apps              sample                sample      string  ui
$apps              owner                 owner       string  i
$apps              org                   org         string  i
$apps              adminTokenSealed      tokenseal   string  -
$apps              deletedAt             deletedat   number  -
$apps              quotas                quotas      string  -
$accounts          id                    id          any     ui
$accounts          email                 email       string  ui
$accounts          createdAt             createdat   number  -
$accounts          passwordHash          passhash    string  -
$accounts          quotas                quotas      string  -
$accountTokens     id                    id          any     ui
$accountTokens     account               account     string  i
$accountTokens     tokenHash             tokenhash   string  ui
$accountTokens     kind                  kind        string  -
$accountTokens     name                  name        string  -
$accountTokens     scopes                scopes      string  -
$accountTokens     expiresAt             expiresat   number  i
$orgs              id                    id          any     ui
$orgs              title                 title       string  -
$orgs              quotas                quotas      string  -
$orgMembers        id                    id          any     ui
$orgMembers        org                   org         string  i
$orgMembers        email                 email       string  i
$orgMembers        orgAndEmail           orgemail    string  ui
$orgMembers        role                  role        string  -
$orgMembers        isInvite              isinvite    boolean -
$schemaJobs        id                    id          any     ui
$schemaJobs        key                   key         string  ui
$schemaJobs        job                   job         string  -
$oauthApps         id                    id          any     ui
$oauthApps         app                   app         string  i
$oauthApps         definition            definit     string  -
$oauthClients      id                    id          any     ui
$oauthClients      oauthApp              oauthapp    string  i
$oauthClients      name                  name        string  -
$oauthClients      redirectUrls          redirects   string  -
$oauthSecrets      id                    id          any     ui
$oauthSecrets      client                client      string  i
$oauthSecrets      secretHash            sechash     string  -
$oauthSecrets      firstFour             firstfour   string  -
$oauthTokens       id                    id          any     ui
$oauthTokens       tokenHash             tokenhash   string  ui
$oauthTokens       kind                  kind        string  -
$oauthTokens       client                client      string  i
$oauthTokens       account               account     string  i
$oauthTokens       holder                holder      string  i
$oauthTokens       grant                 grant       string  i
$oauthTokens       scopes                scopes      string  -
$oauthTokens       expiresAt             expiresat   number  i
$appTransfers      id                    id          any     ui
$appTransfers      app                   app         string  i
$appTransfers      email                 email       string  i
$appTransfers      appAndEmail           appemail    string  ui
$appTransfers      by                    by          string  -
$appTransfers      sender                sender      string  -
$appTransfers      expiresAt             expiresat   number  i
$webhooks          id                    id          any     ui
$webhooks          key                   key         string  ui
$webhooks          definition            definit     string  -
$webhooks          position              position    number  -
$webhookEvents     id                    id          any     ui
$webhookEvents     key                   key         string  ui
$webhookEvents     queue                 queue       string  ui
$webhookEvents     createdAt             createdat   number  i
$webhookEvents     state                 state       string  -
$appCode           id                    id          any     ui
$appCode           app                   app         string  ui
$appCode           state                 state       string  -
$deployments       id                    id          any     ui
$deployments       key                   key         string  ui
$deployments       state                 state       string  -
"""


def platform_attrs() -> list[Attr]:
    """Every attr of the platform's catalog, not yet placed."""
    return Declaration("platform", "platname", codes=_CODES, fields=_FIELDS).attrs()
