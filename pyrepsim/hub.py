"""Whether the hub answers, asked once and briefly: its own client tries for half a minute before it gives up."""

from __future__ import annotations

import threading

_SECONDS = 3.0


def why_unreachable() -> str | None:
    """Why the hub (HF_ENDPOINT) cannot be reached, in words.

    None if it answers, and in offline mode (HF_HUB_OFFLINE), which its client knows by itself.
    """
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return None
    found: list[str | None] = [f"no answer in {_SECONDS:.0f} s"]
    asking = threading.Thread(target=_ask, args=(constants.ENDPOINT, found), daemon=True)
    asking.start()
    asking.join(_SECONDS)  # the look-up of a name has no timeout of its own
    return found[0]


def _ask(endpoint: str, found: list[str | None]) -> None:
    from huggingface_hub.utils import get_session

    try:  # the client's own session knows proxies and certificates
        status = get_session().head(endpoint, timeout=_SECONDS).status_code
        found[0] = None if status < 500 else f"{endpoint} answers with status {status}"
    except Exception as error:  # of whichever HTTP library the client uses
        found[0] = f"{type(error).__name__}: {endpoint}: {error}"
