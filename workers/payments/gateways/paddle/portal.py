"""Paddle's customer portal, for whom it is safe to be let into without signing in there.

At the checkout anybody can give anybody's e-mail address, and Paddle makes one customer of all who give the same one.
To sign one account into the portal of a customer that is also another's would show it the other's invoices, and let it
end the other's subscriptions.
"""

from contextlib import aclosing
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from workers.payments.gateways.paddle.api import PaddleApi
from workers.payments.gateways.paddle.reading import TRANSACTIONS_PAGE
from workers.payments.gateways.paddle.transactions import account_of
from workers.payments.gateways.paddle.wire import PortalSession, Transaction

MAX_PAGES: Final = 5
"""Of whoever has paid more often than is on them, nothing is taken for granted."""

BILLED: Final = "billed,paid,completed,past_due"


async def portal_url(api: PaddleApi, customer_id: str) -> str:
    """Return a link into the portal: signed in if all that the customer ever bought is one account's.

    Everybody else gets the same page without the token, where Paddle sends a link to the customer's own address.
    """
    session = await api.write("POST", f"/customers/{customer_id}/portal-sessions", {}, PortalSession)
    url = session.urls.general.overview
    return url if await _is_of_one_account(api, customer_id) else _without_token(url)


async def _is_of_one_account(api: PaddleApi, customer_id: str) -> bool:
    params = {"customer_id": customer_id, "status": BILLED, "per_page": TRANSACTIONS_PAGE}
    accounts: set[object] = set()
    seen = 0
    pages = api.pages("/transactions", Transaction, params, max_pages=MAX_PAGES, patient=False)
    async with aclosing(pages):
        async for page in pages:
            seen += len(page)
            accounts |= {account_of(transaction) for transaction in page}
            if len(accounts) > 1:
                return False
    return len(accounts) == 1 and None not in accounts and seen < MAX_PAGES * int(TRANSACTIONS_PAGE)


def _without_token(url: str) -> str:
    parts = urlsplit(url)
    kept = [(name, value) for name, value in parse_qsl(parts.query) if name != "token"]
    return urlunsplit(parts._replace(query=urlencode(kept)))
