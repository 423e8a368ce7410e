"""What the sidecar's configuration, or a proxy, says that a request needs."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Rule:
    """What a request needs. `label` is what it is called in the log and in metrics.

    `public`: nothing at all; whoever asks stays unknown. `resource` may contain `{name}`s of the
    path.
    """

    label: str
    permissions: tuple[str, ...] = ()
    resource: str = ""
    required_environment: str = ""
    public: bool = False

    def on(self, resource: str) -> "Rule":
        """The same, on this resource."""
        return replace(self, resource=resource)
