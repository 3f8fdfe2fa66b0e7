"""What is labeled: assets, with their fields, and the filters that find them."""

from pandas_kili.catalog.labels import LABEL_TYPES
from pandas_kili.catalog.projects import ISSUE_STATUSES, ISSUE_TYPES, STEP_STATUSES
from pandas_kili.catalog.terms import DATE, FLAG, REAL, TEXT, TEXTS, WHOLE, Entity, Field, Filter, Mutation

STATUSES = ("TODO", "ONGOING", "LABELED", "TO_REVIEW", "REVIEWED")

PAGE_SIZE = 100  # the server refuses `first` above it (scalar PageSize)
BATCH_SIZE = 100  # the server takes no more rows in one mutation
BATCH_BYTES = 2_000_000  # where the official SDK begins to cut; a row that is larger goes alone
IN_LIMIT = 1000  # ids in one filter; with more the query is known to fail, and the official SDK cuts there

ASSET = Entity(
    "Asset",
    (
        Field("id", TEXT, "Kili's identifier of the asset"),
        Field("externalId", TEXT, "the user's own identifier"),
        Field("content", TEXT, "URL of the medium; empty for rich text and videos made of frames"),
        Field("jsonContent", TEXT, "URL of the JSON behind rich text, frames and tiled images, else empty"),
        Field("jsonMetadata", TEXT, "the user's metadata: JSON text, as served"),
        Field("metadata", TEXT, "the metadata as the server parsed it, as JSON text"),
        Field("ocrMetadata", TEXT, "URL of the recognized text"),
        Field("status", TEXT, "progress of the asset", choices=STATUSES),
        Field("currentStep", to="AssetWorkflowStep"),
        Field("priority", WHOLE, "higher is labeled earlier"),
        Field("skipped", FLAG),
        Field("isHoneypot", FLAG),
        Field("isUsedForConsensus", FLAG),
        Field("isToReview", FLAG),
        Field("isToBeLabeledBy", FLAG),
        Field("isProcessingAuthorized", FLAG),
        Field("consensusMark", REAL, "agreement between labelers, 0 to 1", mark=True),
        Field("honeypotMark", REAL, "agreement with the known answer, 0 to 1", mark=True),
        Field("inferenceMark", REAL, "agreement with the model, 0 to 1", mark=True),
        Field("consensusMarkPerCategory", TEXT, "JSON text"),
        Field("createdAt", DATE, "when it was imported"),
        Field("updatedAt", DATE, "when the asset itself was last changed"),
        Field("toBeLabeledBy", to="ProjectUser", many=True),
        Field("sentBackTo", to="ProjectUser", many=True),
        Field("labels", to="Label", many=True),
        Field("latestLabel", to="Label"),
        Field("latestLabels", to="Label", many=True),
        Field("issues", to="Issue", many=True),
        Field("locks", to="Lock", many=True),
        Field("numberOfValidLocks", WHOLE, "servers of the 2.13x era"),
        Field("readPermissionsFromLabels", FLAG, "servers of the 2.13x era"),
        Field("resolution", to="Resolution"),
        Field("pageResolutions", to="PageResolution", many=True),
        Field("duration", REAL, "seconds"),
        Field("thumbnail", TEXT, "URL of a small picture"),
        Field("project", to="Project"),
        Field("projectId", TEXT),
        Field("labelVersion", WHOLE),
        Field("dataIntegrationId", TEXT, "the cloud storage that the medium sits in"),
        Field("dynamicTilerTokens", TEXTS),
        Field("openIssuesAssigneeIds", TEXTS),
        Field("openIssuesObjectMids", TEXTS),
        Field("openQuestionsAuthorIds", TEXTS),
        Field("geospatialExportMetadata", TEXT, "JSON text"),
        Field("contentJson", TEXT, "JSON text"),
        Field("statusCompute", TEXT, "servers of the 2.13x era", choices=STATUSES),
        Field("durationCompute", REAL, "seconds; servers of the 2.13x era"),
        Field("latestLabelCompute", to="Label"),
        Field("projectIdCompute", TEXT, "servers of the 2.13x era"),
        Field("metadataCompute", TEXT, "JSON text; servers of the 2.13x era"),
        Field("thumbnailCompute", TEXT, "servers of the 2.13x era"),
    ),
)

COUNT_ASSETS = "query countAssets($where: AssetWhere!) { data: countAssets(where: $where) }"
LIST_ASSETS = """query assets($where: AssetWhere!, $first: PageSize!, $skip: Int!) {
  data: assets(where: $where, skip: $skip, first: $first) { %s }
}"""

FILTER_EXISTING = """query FilterExistingAssets($projectID: ID!, $externalIDs: [String!]!) {
  external_ids: filterExistingAssets(projectID: $projectID, externalIDs: $externalIDs)
}"""

# What the official SDK asks by default, in its order; and the type of labels, which tells people from models.
DEFAULT_FIELDS = (
    "content",
    "createdAt",
    "externalId",
    "id",
    "isHoneypot",
    "jsonMetadata",
    "labels.author.id",
    "labels.author.email",
    "labels.createdAt",
    "labels.id",
    "labels.jsonResponse",
    "labels.labelType",
    "skipped",
    "status",
)

FILTERS = (
    Filter("asset_id", "id", "id", "this asset"),
    Filter("asset_id_in", "idIn", "texts", "any of these assets"),
    Filter("asset_id_not_in", "idNotIn", "texts", "none of these assets"),
    Filter("external_id_strictly_in", "externalIdStrictlyIn", "texts", "external id is one of these"),
    Filter("external_id_contains", "externalIdStrictlyIn", "texts", "the SDK's old name for the same: exact"),
    Filter("external_id_in", "externalIdIn", "texts", "external id contains one of these texts"),
    Filter("status_in", "statusIn", "texts", "status is one of these", STATUSES),
    Filter("skipped", "skipped", "flag", "skipped, or not"),
    Filter(
        "metadata_where", "metadata", "metadata", "metadata: a value, one of several texts, or the range of two numbers"
    ),
    Filter("consensus_mark_gte", "consensusMarkGte", "mark", "consensus at least"),
    Filter("consensus_mark_lte", "consensusMarkLte", "mark", "consensus at most"),
    Filter("consensus_mark_gt", "consensusMarkGte", "mark", "old name of `consensus_mark_gte`: inclusive"),
    Filter("consensus_mark_lt", "consensusMarkLte", "mark", "old name of `consensus_mark_lte`: inclusive"),
    Filter("honeypot_mark_gte", "honeypotMarkGte", "mark", "honeypot mark at least"),
    Filter("honeypot_mark_lte", "honeypotMarkLte", "mark", "honeypot mark at most"),
    Filter("honeypot_mark_gt", "honeypotMarkGte", "mark", "old name of `honeypot_mark_gte`: inclusive"),
    Filter("honeypot_mark_lt", "honeypotMarkLte", "mark", "old name of `honeypot_mark_lte`: inclusive"),
    Filter("inference_mark_gte", "inferenceMarkGte", "mark", "agreement with the model at least"),
    Filter("inference_mark_lte", "inferenceMarkLte", "mark", "agreement with the model at most"),
    Filter("created_at_gte", "createdAtGte", "date", "imported at or after"),
    Filter("created_at_lte", "createdAtLte", "date", "imported at or before"),
    Filter("updated_at_gte", "updatedAtGte", "date", "changed at or after"),
    Filter("updated_at_lte", "updatedAtLte", "date", "changed at or before"),
    Filter("assignee_in", "assigneeIn", "people", "assigned to one of these people"),
    Filter("assignee_not_in", "assigneeNotIn", "people", "assigned to none of these people"),
    Filter("issue_type", "issue.type", "text", "has an issue of this type", ISSUE_TYPES),
    Filter("issue_status", "issue.status", "text", "has an issue of this status", ISSUE_STATUSES),
    Filter("step_name_in", "stepIdIn", "step names", "in one of these workflow steps"),
    Filter("step_name_not_in", "stepIdNotIn", "step names", "in none of these workflow steps"),
    Filter("step_status_in", "stepStatusIn", "texts", "status within its step is one of these", STEP_STATUSES),
    Filter(
        "step_status_not_in",
        "stepStatusNotIn",
        "texts",
        "status within its step is none of these",
        STEP_STATUSES,
    ),
    Filter("label_type_in", "label.typeIn", "texts", "a label of one of these types", LABEL_TYPES),
    Filter("label_author_in", "label.authorIn", "names", "a label by one of these: first, last or full name"),
    Filter("label_labeler_in", "label.labelerIn", "people", "a label by one of these people"),
    Filter("label_labeler_not_in", "label.labelerNotIn", "people", "a label by none of these people"),
    Filter(
        "label_reviewer_in",
        "label.reviewerIn",
        "people",
        "a label reviewed by one of these people",
    ),
    Filter(
        "label_reviewer_not_in",
        "label.reviewerNotIn",
        "people",
        "a label reviewed by none of these people",
    ),
    Filter("label_created_at", "label.createdAt", "day", "a label made on this day"),
    Filter("label_created_at_gte", "label.createdAtGte", "date", "a label made at or after"),
    Filter("label_created_at_lte", "label.createdAtLte", "date", "a label made at or before"),
    Filter("label_created_at_gt", "label.createdAtGte", "date", "old name of `label_created_at_gte`: inclusive"),
    Filter("label_created_at_lt", "label.createdAtLte", "date", "old name of `label_created_at_lte`: inclusive"),
    Filter("label_consensus_mark_gte", "label.consensusMarkGte", "mark", "a label with consensus at least"),
    Filter("label_consensus_mark_lte", "label.consensusMarkLte", "mark", "a label with consensus at most"),
    Filter("label_consensus_mark_gt", "label.consensusMarkGte", "mark", "old name: inclusive"),
    Filter("label_consensus_mark_lt", "label.consensusMarkLte", "mark", "old name: inclusive"),
    Filter("label_honeypot_mark_gte", "label.honeypotMarkGte", "mark", "a label with honeypot mark at least"),
    Filter("label_honeypot_mark_lte", "label.honeypotMarkLte", "mark", "a label with honeypot mark at most"),
    Filter("label_honeypot_mark_gt", "label.honeypotMarkGte", "mark", "old name: inclusive"),
    Filter("label_honeypot_mark_lt", "label.honeypotMarkLte", "mark", "old name: inclusive"),
    Filter("label_category_search", "label.search", "category search", "a label with so many of a category"),
)

# What `updatePropertiesInAssets` changes, by the keyword of `df.kili.update_properties_in_assets`.
PROPERTIES = {
    "priority": "priority",
    "json_metadata": "jsonMetadata",
    "consensus_mark": "consensusMark",
    "honeypot_mark": "honeypotMark",
    "to_be_labeled_by": "toBeLabeledBy",
    "content": "content",
    "json_content": "jsonContent",
    "status": "status",
    "is_used_for_consensus": "isUsedForConsensus",
    "is_honeypot": "isHoneypot",
}

_OUTCOMES = "succeeded { assetId externalId } declined { assetId externalId } failed { assetId externalId details }"
_MOVE = "mutation {0}($where: AssetWhere!) {{ data: {0}(where: $where) {{ {1} }} }}"
_APPEND = "mutation {0}($data: {1}Data!, $where: ProjectWhere!) {{ data: {0}(data: $data, where: $where) {{ id }} }}"

# Each verb in the spellings of the API, today's first.
UPDATE = (
    Mutation(
        "updatePropertiesInAssets",
        "mutation updatePropertiesInAssets($whereArray: [AssetWhere!]!, $dataArray: [AssetData!]!)"
        " { data: updatePropertiesInAssets(where: $whereArray, data: $dataArray) { id } }",
    ),
)
APPEND = tuple(
    Mutation(name, _APPEND.format(name, f"{name[0].upper()}{name[1:]}"))
    for name in ("appendManyAssets", "appendManyToDataset")
)
APPEND_LATER = tuple(
    Mutation(name, _APPEND.format(name, f"{name[0].upper()}{name[1:]}"))
    for name in ("appendManyAssetsAsynchronously", "appendManyFramesToDatasetAsynchronously")
)
DELETE = (
    Mutation("deleteAssets", _MOVE.format("deleteAssets", _OUTCOMES)),
    Mutation("deleteManyFromDataset", _MOVE.format("deleteManyFromDataset", "id")),
)
REVIEW = (
    Mutation("addAssetsToReview", _MOVE.format("addAssetsToReview", _OUTCOMES)),
    Mutation("addAllLabeledAssetsToReview", _MOVE.format("addAllLabeledAssetsToReview", "id")),
)
QUEUE = (
    Mutation("sendAssetsBackToQueue", _MOVE.format("sendAssetsBackToQueue", _OUTCOMES)),
    Mutation("sendBackAssetsToQueue", _MOVE.format("sendBackAssetsToQueue", "id")),
)
