"""Training data out of labels, and model output into answers: COCO, YOLO, Pascal VOC, GeoJSON, Hugging Face."""

from pandas_kili.formats.coco import to_coco
from pandas_kili.formats.coco_reader import read_coco
from pandas_kili.formats.geojson import to_geojson
from pandas_kili.formats.huggingface import to_hf
from pandas_kili.formats.samples import ExportOptions
from pandas_kili.formats.voc import read_voc, to_voc
from pandas_kili.formats.yolo import read_yolo, to_yolo

__all__ = [
    "ExportOptions",
    "read_coco",
    "read_voc",
    "read_yolo",
    "to_coco",
    "to_geojson",
    "to_hf",
    "to_voc",
    "to_yolo",
]
