"""The caller of a request."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Caller:
    """The identity of a caller, as services need it."""

    project_id: str
    user_id: str | None = None
    is_admin: bool = False
    roles: tuple[str, ...] = ()
    request_id: str | None = None
