"""Headers by which a client pretends to be somebody else, or to ask for something else."""

from itertools import product

from keywright.sidecar.headers import IdentityHeaders

OTHER_KEY = "kw_live_other"
IDENTITY = IdentityHeaders().names
FORGED = "workspaces/acme/users/root"


def spelt(name: str) -> set[str]:
    """A header's name in other spellings that some application takes for the same."""
    cases = {name, name.upper(), name.title(), name.replace("x-", "X-")}
    odd = {each.replace("-", by) for each in cases for by in "_.~"}
    return cases | odd | {name.replace("-", "_", 1)}


SPOOFS: list[tuple[tuple[str, str], ...]] = [
    # Identity headers in every case and underscore variant; once, and twice.
    *(((each, FORGED),) for name in IDENTITY for each in sorted(spelt(name))),
    *(((name, FORGED), (name.title(), FORGED)) for name in IDENTITY),
    *(((name, ""), (name, FORGED)) for name in IDENTITY),
    # Have the proxy remove them as a matter of the connection.
    *((("Connection", f"close, {name.title()}"),) for name in IDENTITY),
    *((("connection", f"keep-alive,\t{name.replace('-', '_')} "),) for name in IDENTITY),
    (("Connection", "Authorization"),),
    (("Connection", "X-Api-Key"),),
    (("Connection", "close"), ("Connection", "X-Keywright-User")),
    # Have the proxy make a tunnel of the connection, of which nobody is asked.
    *((("Connection", "Upgrade"), ("Upgrade", kind)) for kind in ("h2c", "H2C", "foo", "TLS/1.0")),
    (("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"), ("HTTP2-Settings", "AAMAAABk")),
    (("Connection", "Upgrade"), ("Upgrade", "websocket, h2c")),
    (("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Upgrade", "h2c")),
    # Have the application do something else than what was decided about.
    *(
        ((name, value),)
        for name, value in product(
            [
                "X-HTTP-Method-Override",
                "x_http_method_override",
                "X-HTTP-Method",
                "X-Method-Override",
            ],
            ["DELETE"],
        )
    ),
    *(
        ((name, "/projects/secret"),)
        for name in ("X-Original-URL", "X-Rewrite-URL", "X_Original_URL", "x-rewrite_url")
    ),
    # Have gunicorn take a part of the path for where the application is mounted.
    *(((name, "/public"),) for name in ("SCRIPT_NAME", "Script_Name", "script-name")),
    # Present two keys, so that the application may believe the other.
    (("X-Api-Key", OTHER_KEY),),
    (("X_Api_Key", OTHER_KEY),),
    (("Authorization", f"Bearer {OTHER_KEY}"),),
    (("AUTHORIZATION", "Basic eDp5"),),
]
