"""All the read models there are."""

from typing import Final

from projections.analytics import ANALYTICS
from projections.balances import BALANCES
from projections.journal import JOURNAL
from projections.projection import Projection, ProjectionNotFound
from projections.statements import STATEMENTS

PROJECTIONS: Final[tuple[Projection, ...]] = (BALANCES, STATEMENTS, JOURNAL, ANALYTICS)


def projection_named(name: str) -> Projection:
    """Return the projection of this name.

    Raises:
        ProjectionNotFound: there is none.
    """
    for projection in PROJECTIONS:
        if projection.name == name:
            return projection
    raise ProjectionNotFound(name)
