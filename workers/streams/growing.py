"""Text that grows by pieces, and how much of it has been sealed and confirmed."""

from workers.providers.surrogates import SurrogateJoiner


class GrowingText:
    """Pieces as a provider cut them, joined only when somebody asks for the whole."""

    def __init__(self) -> None:
        self.sealed_end = 0
        """Code points that have a seq."""
        self.confirmed_end = 0
        """Code points that Redis has confirmed."""
        self._joiner = SurrogateJoiner()
        self._parts: list[str] = []

    @property
    def whole(self) -> str:
        """Everything so far."""
        if len(self._parts) > 1:
            self._parts = ["".join(self._parts)]
        return self._parts[0] if self._parts else ""

    @property
    def confirmed(self) -> str:
        """What Redis has confirmed of it."""
        return self.whole[: self.confirmed_end]

    def push(self, piece: str) -> str:
        """Take a piece; return what can be sent now, which is empty while half a character is held back."""
        return self._keep(self._joiner.push(piece))

    def flush(self) -> str:
        """Return what was held back; nothing may follow."""
        return self._keep(self._joiner.flush())

    def _keep(self, piece: str) -> str:
        if piece:
            self._parts.append(piece)
        return piece
