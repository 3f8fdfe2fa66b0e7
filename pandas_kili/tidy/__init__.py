"""Labels and their answers as tidy tables, and back."""

from pandas_kili.tidy.agreement import agreement, disagreements
from pandas_kili.tidy.annotations import annotations_table
from pandas_kili.tidy.answer_checks import answer_misfits
from pandas_kili.tidy.answers.read import without_collector
from pandas_kili.tidy.answers.schema import ANNOTATION, ANNOTATION_SCHEMA, CATEGORY, CHOICE, RANK, TEXT, UNREADABLE
from pandas_kili.tidy.jobs import Job, jobs_of, read_jobs
from pandas_kili.tidy.label_errors import label_errors
from pandas_kili.tidy.labels import holds_assets, labels_table, lacking
from pandas_kili.tidy.metadata import metadata_table
from pandas_kili.tidy.offsets import to_code_points, to_utf16_units
from pandas_kili.tidy.people import MODEL_TYPES, SUBMITTED, author_names, labeler_names, of_types
from pandas_kili.tidy.write_answers import to_json_response

__all__ = [
    "ANNOTATION",
    "ANNOTATION_SCHEMA",
    "CATEGORY",
    "CHOICE",
    "MODEL_TYPES",
    "RANK",
    "SUBMITTED",
    "TEXT",
    "UNREADABLE",
    "Job",
    "agreement",
    "annotations_table",
    "answer_misfits",
    "author_names",
    "disagreements",
    "holds_assets",
    "jobs_of",
    "label_errors",
    "labeler_names",
    "labels_table",
    "lacking",
    "metadata_table",
    "of_types",
    "read_jobs",
    "to_code_points",
    "to_json_response",
    "to_utf16_units",
    "without_collector",
]
