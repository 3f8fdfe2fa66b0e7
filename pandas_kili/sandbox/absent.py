"""What Kili has and the sandbox has not: each operation is refused by its name, instead of being unknown."""

from __future__ import annotations

__all__ = ["absent"]

_ABSENT = {
    "Plugins": (
        "listPlugins countPlugins getPluginBuildErrors getPluginLogs getPluginRunnerStatus createPlugin"
        " createPluginRunner generateUpdateUrl updatePluginRunner activatePluginOnProject deactivatePluginOnProject"
        " deletePlugin"
    ),
    "Webhooks": "createWebhook updateWebhook",
    "Models of LLM projects": (
        "models model createModel updateModel deleteModel projectModels createProjectModel updateProjectModel"
        " deleteProjectModel createLLMAsset chatItems createChatItem"
    ),
    "Cloud storages": (
        "dataIntegrations countDataIntegrations dataConnection createDataIntegration deleteDataIntegration"
        " updatePropertiesInDataIntegration addDataConnection computeDifferences validateDataDifferences"
    ),
    "Versions of projects": "projectVersions countProjectVersions updatePropertiesInProjectVersion",
    "Changes of accounts and organizations": (
        "createUser updatePropertiesInUser updatePassword resetPassword createOrganization"
        " updatePropertiesInOrganization organizationMetrics"
    ),
    "Notifications of one's own": "createNotification updatePropertiesInNotification",
    "Anonymous reviews": "updateProjectAnonymization",
    "Copies of labels, and files of annotations": "copyLabels createAnnotationFileUpload annotationFileUrl",
}
_SUBJECTS = {name: subject for subject, names in _ABSENT.items() for name in names.split()}


def absent(operation: str) -> str | None:
    """Return why an operation of Kili is refused; None for those that the sandbox has, and for those unknown."""
    subject = _SUBJECTS.get(operation)
    return subject and f"{subject} are not in the sandbox: {operation} needs Kili itself"
