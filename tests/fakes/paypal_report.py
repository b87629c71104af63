"""PayPal's report of transactions: lines that appear some time later, found by time and read in pages."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.fakes.paypal_objects import Object, Refused, moment, moment_s

LONGEST_S = 31 * 86_400


@dataclass
class Report:
    """The lines, and how much of them one search may find."""

    lines: list[tuple[float, Object]] = field(default_factory=list[tuple[float, Object]])
    delay_s: float = 0.0
    """How long a line takes to appear. The real one takes up to three hours."""
    most_lines: int = 10_000
    """A search that finds more is refused."""

    def add(
        self,
        transaction_id: str,
        code: str,
        given: Object,
        *,
        at_s: float,
        is_debit: bool = False,
        status: str = "S",
        reference_id: str = "",
        custom: str = "",
        invoice: str = "",
    ) -> None:
        """Write a line."""
        signed = {**given, "value": f"-{given['value']}"} if is_debit else given
        line: Object = {
            "transaction_id": transaction_id,
            "transaction_event_code": code,
            "transaction_initiation_date": moment(at_s).replace("Z", "+0000"),
            "transaction_updated_date": moment(at_s).replace("Z", "+0000"),
            "transaction_amount": signed,
            "transaction_status": status,
            "protection_eligibility": "02",
        }
        if reference_id:
            line |= {"paypal_reference_id": reference_id, "paypal_reference_id_type": "TXN"}
        line |= {name: text for name, text in (("custom_field", custom), ("invoice_id", invoice)) if text}
        self.lines.append((float(int(at_s)), line))

    def becomes(self, transaction_id: str, status: str) -> None:
        """Change the status of a line."""
        for _, line in self.lines:
            if line["transaction_id"] == transaction_id:
                line["transaction_status"] = status

    def search(self, query: Mapping[str, str], *, now_s: float) -> Object:
        """The page that a search finds."""
        begins_s, ends_s = moment_s(query["start_date"]), moment_s(query["end_date"])
        page, size = int(query.get("page", "1")), int(query.get("page_size", "100"))
        if not 0 <= ends_s - begins_s <= LONGEST_S or not 1 <= size <= 500 or page < 1:
            raise Refused(400, "INVALID_REQUEST", "Date range is greater than 31 days")
        if begins_s > now_s - self.delay_s:
            raise Refused(400, "INVALID_REQUEST", "Data for the given start date is not available.")
        seen_s = min(ends_s, now_s - self.delay_s)
        found = [line for at_s, line in self.lines if begins_s <= at_s <= seen_s]
        if len(found) > self.most_lines:
            raise Refused(400, "RESULTSET_TOO_LARGE")
        details = [{"transaction_info": line} for line in found[(page - 1) * size : page * size]]
        return {
            "transaction_details": details,
            "account_number": "FAKEMERCHANT1",
            "start_date": query["start_date"],
            "end_date": query["end_date"],
            "last_refreshed_datetime": moment(now_s - self.delay_s),
            "page": page,
            "total_items": len(found),
            "total_pages": -(-len(found) // size),
            "links": [],
        }
