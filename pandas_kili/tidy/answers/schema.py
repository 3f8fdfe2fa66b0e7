"""The columns of a table of annotations, the same for every project."""

from __future__ import annotations

import pyarrow as pa

VERTEX = pa.struct([("x", pa.float64()), ("y", pa.float64())])
RING = pa.list_(VERTEX)
POSE_POINT = pa.struct(
    [
        ("code", pa.string()),
        ("name", pa.string()),
        ("mid", pa.string()),
        ("jobName", pa.string()),
        ("x", pa.float64()),
        ("y", pa.float64()),
    ]
)

ANNOTATION_SCHEMA = pa.schema(
    [
        ("assetId", pa.string()),
        ("externalId", pa.string()),
        ("labelId", pa.string()),
        ("labelType", pa.string()),
        ("author", pa.string()),
        ("modelName", pa.string()),
        ("createdAt", pa.timestamp("ms", "UTC")),
        ("stepName", pa.string()),
        ("row", pa.int64()),
        ("parentRow", pa.int64()),
        ("parentPoint", pa.int64()),
        ("kind", pa.string()),
        ("mid", pa.string()),
        ("parentMid", pa.string()),
        ("job", pa.string()),
        ("parentJob", pa.string()),
        ("level", pa.string()),
        ("mlTask", pa.string()),
        ("tool", pa.string()),
        ("category", pa.string()),
        ("parentCategories", pa.list_(pa.string())),
        ("confidence", pa.float64()),
        ("score", pa.float64()),
        ("text", pa.string()),
        ("beginOffset", pa.int64()),
        ("endOffset", pa.int64()),
        ("beginId", pa.string()),
        ("endId", pa.string()),
        ("content", pa.string()),
        ("startMids", pa.list_(pa.string())),
        ("endMids", pa.list_(pa.string())),
        ("firstId", pa.string()),
        ("secondId", pa.string()),
        ("rank", pa.int64()),
        ("elements", pa.list_(pa.string())),
        ("page", pa.int64()),
        ("frame", pa.int64()),
        ("isKeyFrame", pa.bool_()),
        ("xmin", pa.float64()),
        ("ymin", pa.float64()),
        ("xmax", pa.float64()),
        ("ymax", pa.float64()),
        ("rotation", pa.float64()),
        ("assetRotation", pa.int64()),
        ("pixelXmin", pa.float64()),
        ("pixelYmin", pa.float64()),
        ("pixelXmax", pa.float64()),
        ("pixelYmax", pa.float64()),
        ("x", pa.float64()),
        ("y", pa.float64()),
        ("rings", pa.list_(RING)),
        ("polyline", RING),
        ("points", pa.list_(POSE_POINT)),
        ("rangeStart", pa.float64()),
        ("rangeEnd", pa.float64()),
        ("hasChildren", pa.bool_()),
        ("extra", pa.string()),
        ("problem", pa.string()),
    ]
)

TOOLS = ("rectangle", "polygon", "polyline", "marker", "vector", "semantic", "pose", "range")

# Kinds of row. The first five are what people answered; the last three keep what is not an answer of its own.
ANNOTATION, CATEGORY, TEXT, CHOICE, RANK = "annotation", "category", "text", "choice", "rank"
JOB, LABEL, UNREADABLE = "job", "label", "unreadable"
KINDS = (ANNOTATION, CATEGORY, TEXT, CHOICE, RANK, JOB, LABEL, UNREADABLE)
