-- See what another session sees, which exported its snapshot under this name. Bound by the client: a utility statement
-- takes no parameters. The linter does not know it.
-- Returns: nothing.
SET TRANSACTION SNAPSHOT %(name)s -- noqa: PRS
