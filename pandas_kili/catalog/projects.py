"""Where assets live: projects, their steps, and the issues raised in them."""

from pandas_kili.catalog.terms import DATE, FLAG, REAL, TEXT, WHOLE, Entity, Field, Mutation

INPUT_TYPES = (
    "AUDIO",
    "GEOSPATIAL",
    "IMAGE",
    "LLM_INSTR_FOLLOWING",
    "LLM_RLHF",
    "LLM_STATIC",
    "NA",
    "PDF",
    "TEXT",
    "TIME_SERIES",
    "URL",
    "VIDEO",
    "VIDEO_LEGACY",
)
ISSUE_TYPES = ("ISSUE", "QUESTION")
ISSUE_STATUSES = ("OPEN", "SOLVED", "CANCELLED")
# IN_PROGRESS and REWORK took the place of DOING and REDO, which servers still give.
STEP_STATUSES = ("TO_DO", "DOING", "IN_PROGRESS", "PARTIALLY_DONE", "REDO", "REWORK", "DONE", "SKIPPED")

PROJECT = Entity(
    "Project",
    (
        Field("id", TEXT),
        Field("title", TEXT),
        Field("description", TEXT),
        Field("inputType", TEXT, choices=INPUT_TYPES),
        Field("jsonInterface", TEXT, "the jobs that labelers are asked, as JSON text"),
        Field("instructions", TEXT),
        Field("createdAt", DATE),
        Field("updatedAt", DATE),
        Field("archivedAt", DATE),
        Field("organizationId", TEXT),
        Field("workflowVersion", TEXT, choices=("V1", "V2", "V3")),
        Field("consensusTotCoverage", WHOLE, "percent"),
        Field("minConsensusSize", WHOLE),
        Field("reviewCoverage", WHOLE, "percent"),
        Field("consensusMark", REAL, mark=True),
        Field("honeypotMark", REAL, mark=True),
        Field("useHoneyPot", FLAG),
        Field("canNavigateBetweenAssets", FLAG),
        Field("canSkipAsset", FLAG),
        Field("numberOfAssets", WHOLE),
        Field("numberOfRemainingAssets", WHOLE),
        Field("numberOfReviewedAssets", WHOLE),
        Field("numberOfSkippedAssets", WHOLE),
        Field("numberOfOpenIssues", WHOLE),
        Field("numberOfSolvedIssues", WHOLE),
        Field("numberOfOpenQuestions", WHOLE),
        Field("numberOfSolvedQuestions", WHOLE),
        Field("readPermissionsForAssetsAndLabels", FLAG),
        Field("metadataTypes", TEXT, "JSON text"),
        Field("metadataProperties", TEXT, "JSON text"),
        Field("assetMetadata", TEXT, "JSON text"),
        Field("geospatialSettings", TEXT, "JSON text"),
        Field("roles", to="ProjectUser", many=True),
        Field("steps", to="Step", many=True),
    ),
)

LIST_PROJECTS = """query projects($where: ProjectWhere!, $first: PageSize!, $skip: Int!) {
  data: projects(where: $where, first: $first, skip: $skip) { %s }
}"""

CREATE_PROJECT = (
    Mutation(
        "createProject", "mutation createProject($data: CreateProjectData!) { data: createProject(data: $data) { id } }"
    ),
)
DELETE_PROJECT = (
    Mutation(
        "deleteProjectAsynchronously",
        "mutation deleteProject($where: ProjectWhere!) { data: deleteProjectAsynchronously(where: $where) }",
    ),
    Mutation(
        "deleteProject", "mutation deleteProject($where: ProjectWhere!) { data: deleteProject(where: $where) { id } }"
    ),
)

STEP = Entity(
    "Step",
    (
        Field("id", TEXT),
        Field("name", TEXT),
        Field("type", TEXT),
        Field("order", WHOLE, "place among the steps"),
        Field("stepGroupId", TEXT, "projects of workflow V3"),
        Field("assignees", to="User", many=True),
        Field("consensusCoverage", WHOLE, "percent"),
        Field("numberOfExpectedLabelsForConsensus", WHOLE),
        Field("stepCoverage", WHOLE, "percent"),
        Field("sendBackStepId", TEXT),
        Field("useHoneypot", FLAG),
    ),
)

CURRENT_STEP = Entity(
    "AssetWorkflowStep",
    (
        Field("id", TEXT),
        Field("name", TEXT, "name of the workflow step"),
        Field("status", TEXT, "status within the step", choices=STEP_STATUSES),
        Field("stepGroupName", TEXT, "projects of workflow V3"),
    ),
)

ISSUE = Entity(
    "Issue",
    (
        Field("id", TEXT),
        Field("type", TEXT, choices=ISSUE_TYPES),
        Field("status", TEXT, choices=ISSUE_STATUSES),
        Field("assetId", TEXT),
        Field("projectId", TEXT),
        Field("objectMid", TEXT, "`mid` of the annotation that it is about"),
        Field("issueNumber", WHOLE),
        Field("hasBeenSeen", FLAG),
        Field("createdAt", DATE),
        Field("updatedAt", DATE),
        Field("author", to="User"),
        Field("assignee", to="User"),
        Field("comments", to="Comment", many=True),
    ),
)

COMMENT = Entity(
    "Comment",
    (
        Field("id", TEXT),
        Field("text", TEXT),
        Field("createdAt", DATE),
        Field("authorId", TEXT),
        Field("author", to="User"),
    ),
)

LOCK = Entity(
    "Lock",
    (
        Field("id", TEXT),
        Field("lockType", TEXT, choices=("DEFAULT", "REVIEW")),
        Field("createdAt", DATE),
        Field("authorId", TEXT),
        Field("author", to="User"),
    ),
)

RESOLUTION = Entity("Resolution", (Field("width", REAL, "pixels"), Field("height", REAL, "pixels")))

PAGE_RESOLUTION = Entity(
    "PageResolution",
    (
        Field("width", REAL, "pixels"),
        Field("height", REAL, "pixels"),
        Field("pageNumber", WHOLE),
        Field("rotation", WHOLE, "degrees"),
    ),
)
