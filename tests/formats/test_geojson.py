"""GeoJSON: what was drawn on maps, as features that the libraries of geographers load."""

import itertools
import json
import warnings

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from training import assets, judge, label, objects, rectangle, ring, shape, vendor_converters

import pandas_kili as pk
from pandas_kili.errors import KiliFieldError, KiliValidationError
from pandas_kili.sandbox import Sandbox

OUTLINE, HOLE, ISLAND = (
    [(2, 48), (3, 48), (3, 49), (2, 49)],
    [(2.2, 48.2), (2.4, 48.2), (2.4, 48.4)],
    [(5, 48), (6, 48), (6, 49)],
)
OAK = {"KIND": {"categories": [{"name": "OAK"}, {"name": "ASH"}]}, "NOTE": {"text": "old"}}
TREE, ROAD = ({"categories": [{"name": name, "confidence": 80}]} for name in ("TREE", "ROAD"))
DRAWN = [
    shape("FIELD", rectangle(-3.5, 40.25, -3.25, 40.5), mid="r"),
    {**shape("FOREST", [ring(*OUTLINE), ring(*HOLE)], tool="semantic", mid="s"), "children": OAK},
    {**shape("FOREST", [ring(*ISLAND)], tool="semantic", mid="s"), "children": OAK},
    shape("LAKE", [ring(*OUTLINE)], tool="polygon", mid="p"),
    {
        "mid": "m",
        "type": "marker",
        "categories": [{"name": "TREE", "confidence": 80}],
        "point": {"x": 151.2, "y": -33.9},
    },
    {
        "mid": "l",
        "type": "polyline",
        "categories": [{"name": "ROAD"}],
        "polyline": [{"x": 2, "y": 48}, {"x": 3, "y": 49}],
    },
]


@pytest.fixture
def frame():
    labels = [label(objects(*DRAWN), id="l1", author={"email": "ada@example.com"}, createdAt="2026-03-01T10:00:00Z")]
    return pd.DataFrame({"id": ["a1"], "externalId": ["map.tif"], "labels": [labels]})


def test_one_feature_an_object_with_flat_properties(frame):
    features = frame.kili.to_geojson()["features"]
    assert [(each["properties"]["class"], each["geometry"]["type"]) for each in features] == [
        ("FIELD", "Polygon"),
        ("FOREST", "MultiPolygon"),
        ("LAKE", "Polygon"),
        ("TREE", "Point"),
        ("ROAD", "LineString"),
    ]
    assert features[1]["properties"] == {
        "class": "FOREST",
        "job": "OBJECTS",
        "tool": "semantic",
        "confidence": None,
        "mid": "s",
        "labeler": "ada@example.com",
        "labelType": "DEFAULT",
        "labelId": "l1",
        "createdAt": "2026-03-01T10:00:00+00:00",
        "externalId": "map.tif",
        "assetId": "a1",
        "KIND": ["OAK", "ASH"],
        "NOTE": "old",
    }
    assert features[3]["geometry"]["coordinates"] == [151.2, -33.9]
    assert features[3]["properties"]["confidence"] == 80


def test_geopandas_loads_the_file_and_the_dict(frame, tmp_path):
    geopandas = judge("geopandas")
    collection = frame.kili.to_geojson(tmp_path / "labels.geojson")
    assert json.loads((tmp_path / "labels.geojson").read_text()) == collection
    read = geopandas.read_file(tmp_path / "labels.geojson")
    made = geopandas.GeoDataFrame.from_features(collection, crs=4326)
    for table in (read, made):
        assert table.crs.to_epsg() == 4326
        assert table.geometry.is_valid.all()
        assert table["class"].tolist() == ["FIELD", "FOREST", "LAKE", "TREE", "ROAD"]
        assert [round(each.area, 6) for each in table.geometry] == [0.0625, 1 - 0.02 + 0.5, 1, 0, 0]
    assert read.geometry.geom_equals(made.geometry).all()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(-180, 180), st.floats(-90, 90)), min_size=3, max_size=6, unique=True))
def test_vertices_are_those_that_were_drawn_and_outlines_run_counterclockwise(points):
    drawn = shape("LAKE", [ring(*points)], tool="polygon")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tiny shapes beside 0, 0
        (feature,) = assets({"a": objects(drawn)}).kili.to_geojson()["features"]
    (found,) = feature["geometry"]["coordinates"]
    assert found[0] == found[-1]
    assert sorted(map(tuple, found[:-1])) == sorted(points)
    assert sum((x1 - x0) * (y1 + y0) for (x0, y0), (x1, y1) in itertools.pairwise(found)) <= 1e-9


def test_geometries_are_those_of_the_vendor(frame):
    """The vendor keeps the direction of rings, so shapes are compared as areas."""
    shapely = judge("shapely")
    vendor = vendor_converters()
    converter = vendor.convert_from_kili_to_geojson_format
    theirs = {each["id"]: shapely.geometry.shape(each["geometry"]) for each in converter(objects(*DRAWN))["features"]}
    ours = {
        each["properties"]["mid"]: shapely.geometry.shape(each["geometry"])
        for each in frame.kili.to_geojson()["features"]
    }
    assert ours.keys() == theirs.keys()
    assert all(ours[mid].equals(theirs[mid]) for mid in ours)


def test_parts_that_importers_of_maps_write_are_polygons_of_their_own():
    parts = [[ring(*OUTLINE), ring(*HOLE)], [ring(*ISLAND)]]
    drawn = {"mid": "s", "type": "semantic", "categories": [{"name": "FOREST"}], "boundingPoly": parts}
    (feature,) = assets({"a": objects(drawn)}).kili.to_geojson()["features"]
    assert [len(polygon) for polygon in feature["geometry"]["coordinates"]] == [2, 1]


def test_what_is_left_out_of_a_map_is_counted():
    pose = {"type": "pose", "categories": [{"name": "X"}], "points": [{"code": "a", "point": {"x": 2, "y": 48}}]}
    point = {"type": "polyline", "categories": [{"name": "X"}], "polyline": [{"x": 2, "y": 48}]}
    answer = {**objects(pose, point, *DRAWN[:1]), "KIND": {"categories": [{"name": "MAP"}]}}
    with pytest.warns(UserWarning, match=r"Not in the GeoJSON export"):
        collection = assets({"a": answer, "b": None}).kili.to_geojson()
    assert len(collection["features"]) == 1
    assert {(each["externalId"], each["reason"]) for each in collection["left_out"]} == {
        ("a", "a shape of the tool pose"),
        ("a", "a shape without enough vertices"),
        ("a", "no shape"),
        ("b", "the asset has no label of these types"),
    }


def test_options_choose_labels_and_jobs_and_those_of_pictures_are_refused(frame, tmp_path):
    guess = label(objects(DRAWN[3], job="OTHER"), labelType="PREDICTION", modelName="m-1")
    both = frame.assign(labels=[[*frame["labels"][0], guess]])
    only = both.kili.to_geojson(label_types=["PREDICTION"], job="OTHER")["features"]
    assert [each["properties"]["labeler"] for each in only] == ["m-1"]
    assert len(both.kili.to_geojson(labels="all", label_types=None)["features"]) == 6
    with pytest.raises(KiliValidationError, match="neither pictures nor splits"):
        frame.kili.to_geojson(split={"train": 1.0})
    with pytest.raises(KiliFieldError, match="labelType"):
        frame.assign(labels=[[{"jsonResponse": "{}"}]]).kili.to_geojson()
    frame.kili.to_geojson(tmp_path / "a.geojson")
    with pytest.raises(KiliValidationError, match="overwrite=True"):
        frame.kili.to_geojson(tmp_path / "a.geojson")
    frame.kili.to_geojson(tmp_path / "a.geojson", overwrite=True)


def test_shares_of_a_picture_are_no_degrees():
    with pytest.warns(UserWarning, match="within 0 and 1"):
        assets({"a": objects(shape("CAT", rectangle(0, 0, 0.5, 0.5)))}).kili.to_geojson()
    assert assets({"a": objects()}).kili.to_geojson()["features"] == []


def test_a_project_of_maps_goes_out_as_it_was_drawn(tmp_path):
    content = {"input": "radio", "categories": {name: {"name": name} for name in ("FIELD", "LAKE", "TREE")}}
    tools = ["rectangle", "polygon", "marker"]
    interface = {"jobs": {"OBJECTS": {"mlTask": "OBJECT_DETECTION", "tools": tools, "content": content}}}
    with Sandbox() as sandbox:
        project = sandbox.create_project("Maps", "GEOSPATIAL", interface)
        sandbox.add_assets(project, [{"externalId": "map.tif", "content": "https://h.invalid/map.tif"}])
        rows = pd.DataFrame({"externalId": ["map.tif"], "answer": [json.dumps(objects(DRAWN[0], *DRAWN[3:5]))]})
        rows.kili.append_labels("answer", project_id=project, client=sandbox.client)
        fields = [f"labels.{name}" for name in ("id", "labelType", "author.email", "createdAt", "jsonResponse")]
        frame = pk.read_kili(project, fields=["id", "externalId", *fields], client=sandbox.client)
    features = frame.kili.to_geojson(json_interface=interface)["features"]
    assert [each["properties"]["class"] for each in features] == ["FIELD", "LAKE", "TREE"]
    assert features[2]["geometry"]["coordinates"] == [151.2, -33.9]
    assert all(each["properties"]["labeler"] and each["properties"]["labelId"] for each in features)
