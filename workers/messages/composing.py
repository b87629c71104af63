"""A message as a mail: the same one, byte for byte, however often it is composed."""

import hashlib
from datetime import datetime
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from typing import Final
from uuid import UUID

from workers.messages.rendering import Rendered

ENCODING: Final = "quoted-printable"


def compose(
    rendered: Rendered, *, sender: Address, recipient: str, account_id: UUID, key: str, written_at: datetime
) -> EmailMessage:
    """Make the mail. A repetition has the same Message-ID, so that whoever gets it twice can tell.

    Raises:
        ValueError: the recipient is not an address.
    """
    identity = hashlib.sha256(account_id.bytes + key.encode()).hexdigest()[:32]
    mail = EmailMessage(policy=policy.SMTP)
    mail["From"] = sender
    mail["To"] = Address(addr_spec=recipient)
    mail["Subject"] = rendered.subject
    mail["Date"] = written_at
    mail["Message-ID"] = f"<{identity}@{sender.domain}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(rendered.plain, cte=ENCODING)
    mail.add_alternative(rendered.html, subtype="html", cte=ENCODING)
    # Only now: what is set before moves to the first part.
    mail["Content-Language"] = rendered.language
    mail.set_boundary(f"=_{identity}")
    return mail
