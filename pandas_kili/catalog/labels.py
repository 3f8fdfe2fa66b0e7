"""What people answered: labels."""

from pandas_kili.catalog.terms import DATE, FLAG, REAL, TEXT, WHOLE, Entity, Field, Mutation

LABEL_TYPES = ("AUTOSAVE", "DEFAULT", "INFERENCE", "PREDICTION", "REVIEW")

LABEL = Entity(
    "Label",
    (
        Field("id", TEXT, "Kili's identifier of the label"),
        Field("assetId", TEXT),
        Field("author", to="User"),
        Field("authorId", TEXT),
        Field("createdAt", DATE),
        Field("labelType", TEXT, choices=LABEL_TYPES),
        Field("jsonResponse", TEXT, "the answer: JSON text, jobs with annotations"),
        Field("jsonResponseUrl", TEXT, "where today's servers keep a long answer; `jsonResponse` is completed from it"),
        Field("response", TEXT, "the answer as the server parsed it, as JSON text"),
        Field("modelName", TEXT, "the model behind a prediction"),
        Field("secondsToLabel", REAL, "seconds"),
        Field("totalSecondsToLabel", WHOLE, "seconds, with all earlier versions"),
        Field("isLatestLabelForUser", FLAG),
        Field("isLatestDefaultLabelForUser", FLAG),
        Field("isLatestReviewLabelForUser", FLAG),
        Field("isLatestPredictionLabelForUser", FLAG),
        Field("isSentBackToQueue", FLAG),
        Field("isCorrected", FLAG),
        Field("isHoneypot", FLAG),
        Field("skipped", FLAG),
        Field("consensusMark", REAL, mark=True),
        Field("honeypotMark", REAL, mark=True),
        Field("inferenceMark", REAL, mark=True),
        Field("reviewScore", REAL),
        Field("numberOfAnnotations", WHOLE),
        Field("clientVersion", WHOLE),
        Field("version", WHOLE),
        Field("projectId", TEXT),
        Field("search", TEXT, "what category searches look at, as JSON text"),
        Field("referencedLabel", to="Label"),
        Field("labelOf", to="Asset"),
        Field("assetStep", to="AssetWorkflowStep"),
        Field("annotations", to="Annotation", many=True),
    ),
)

# Each type of annotation has a value of another shape; these are the types that the official SDK asks for.
ANNOTATION_VALUE = (
    "... on ClassificationAnnotation { annotationValue { categories } }"
    " ... on ComparisonAnnotation { annotationValue { choice { code firstId secondId } } }"
    " ... on TranscriptionAnnotation { annotationValue { text } }"
)
ANNOTATION = Entity(
    "Annotation",
    (
        Field("id", TEXT),
        Field("labelId", TEXT),
        Field("job", TEXT),
        Field("path", TEXT, "annotations and categories above, as JSON text"),
        Field("annotationValue", TEXT, "the answer, as JSON text: projects about conversations keep theirs here"),
    ),
)

APPEND_LABELS = Mutation(
    "appendManyLabels",
    "mutation appendManyLabels($data: AppendManyLabelsData!, $where: AssetWhere!)"
    " { data: appendManyLabels(data: $data, where: $where) { id } }",
)
