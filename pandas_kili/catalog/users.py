"""Who works in a project: users, and their membership of it."""

from pandas_kili.catalog.terms import DATE, FLAG, REAL, TEXT, WHOLE, Entity, Field

LIST_MEMBERS = """query projectUsers($where: ProjectUserWhere!, $first: PageSize!, $skip: Int!) {
  data: projectUsers(where: $where, first: $first, skip: $skip) { role status user { id email firstname lastname } }
}"""
MEMBER_PAGE_SIZE = 100  # as the official SDK asks for

PROJECT_ROLES = ("ADMIN", "TEAM_MANAGER", "REVIEWER", "LABELER")

USER = Entity(
    "User",
    (
        Field("id", TEXT, "Kili's identifier of the user"),
        Field("email", TEXT),
        Field("firstname", TEXT),
        Field("lastname", TEXT),
        Field("activated", FLAG),
        Field("createdAt", DATE),
        Field("updatedAt", DATE),
        Field("organizationId", TEXT),
        Field("auth0Id", TEXT),
        Field("status", TEXT),
        Field("isServiceAccount", FLAG, "today's servers only"),
        Field("highestRoleInProject", TEXT, choices=PROJECT_ROLES),
        Field("hubspotSubscriptionStatus", TEXT),
        Field("hasCompletedLabelingTour", FLAG),
    ),
)

PROJECT_USER = Entity(
    "ProjectUser",
    (
        Field("id", TEXT),
        Field("activated", FLAG),
        Field("role", TEXT, choices=PROJECT_ROLES),
        Field("starred", FLAG),
        Field("status", TEXT, "such as ACTIVATED, ORG_ADMIN, ORG_SUSPENDED"),
        Field("isAuthor", FLAG),
        Field("deletedAt", DATE),
        Field("consensusMark", REAL, "servers of the 2.13x era", mark=True),
        Field("honeypotMark", REAL, "servers of the 2.13x era", mark=True),
        Field("invitationStatus", TEXT, "servers of the 2.13x era"),
        Field("numberOfAnnotations", WHOLE, "servers of the 2.13x era"),
        Field("numberOfLabels", WHOLE, "servers of the 2.13x era"),
        Field("numberOfLabeledAssets", WHOLE, "servers of the 2.13x era"),
        Field("totalDuration", WHOLE, "seconds; servers of the 2.13x era"),
        Field("user", to="User"),
        Field("project", to="Project"),
    ),
)
