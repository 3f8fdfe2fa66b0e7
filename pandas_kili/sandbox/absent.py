"""What Kili has and the sandbox has not: each operation refuses by name, instead of being unknown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pandas_kili.sandbox.refusals import Refusal

if TYPE_CHECKING:
    from pandas_kili.sandbox.execution import Resolver

__all__ = ["ABSENT", "absent_resolvers"]

ABSENT = {
    "Plugins": (
        "listPlugins",
        "countPlugins",
        "getPluginBuildErrors",
        "getPluginLogs",
        "getPluginRunnerStatus",
        "createPlugin",
        "createPluginRunner",
        "generateUpdateUrl",
        "updatePluginRunner",
        "activatePluginOnProject",
        "deactivatePluginOnProject",
        "deletePlugin",
    ),
    "Webhooks": ("createWebhook", "updateWebhook"),
}
"""Names of operations, by what they are about."""


def absent_resolvers() -> dict[str, Resolver]:
    """Return a resolver that refuses for each operation that the sandbox has not."""

    def refusing(subject: str, name: str) -> Resolver:
        def resolve(*_: Any) -> Any:
            raise Refusal(f"{subject} are not in the sandbox: {name} needs Kili itself")

        return resolve

    return {name: refusing(subject, name) for subject, names in ABSENT.items() for name in names}
