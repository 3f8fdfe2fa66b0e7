"""Interfaces of projects, answers that they allow, and changes that they do not, all from one random source."""

import copy
import json

from pandas_kili.tidy.answer_checks import answer_misfits

SHAPES = ("rectangle", "polygon", "semantic", "polyline", "vector", "marker", "pose")
DRAWN = "OBJECT_DETECTION"
TASKS = ("CLASSIFICATION", "TRANSCRIPTION", DRAWN, DRAWN, "NAMED_ENTITIES_RECOGNITION")
RELATIONS = {"NAMED_ENTITIES_RECOGNITION": "NAMED_ENTITIES_RELATION", DRAWN: "OBJECT_RELATION"}
POINTS = [{"code": "L", "name": "Left"}, {"code": "R", "name": "Right"}]


def job(task, *, categories=None, required=0, tools=None, field="radio"):
    """Return a question; `categories` are names, each with the jobs that hang on it."""
    content = {"input": field}
    if categories is not None:
        content["categories"] = {
            name: {"name": name.title(), "children": children} for name, children in categories.items()
        }
    return {"mlTask": task, "required": required, "content": content, **({"tools": tools} if tools else {})}


def faults(answer, jobs, **options):
    """Return where an answer does not fit, and what was expected."""
    return faults_of_each([answer], jobs, **options)[0]


def faults_of_each(answers, jobs, **options):
    """Return the faults of several answers, in one look."""
    texts = [answer if isinstance(answer, str) else json.dumps(answer) for answer in answers]
    found = [[] for _ in texts]
    for fault in answer_misfits(texts, jobs, **options):
        found[fault.answer].append((fault.path, fault.check))
    return found


def name(rng):
    return "".join(rng.choice("ABCDE_") for _ in range(rng.randint(2, 6)))


def interface_of(rng):
    """Make up to five jobs, of which some hang on categories of earlier ones and some relate what others mark."""
    jobs, parents = {}, []
    for one in dict.fromkeys(name(rng) for _ in range(rng.randint(1, 4))):
        task = rng.choice(TASKS)
        categories = dict.fromkeys(name(rng) for _ in range(rng.randint(1, 3)))
        field = {"CLASSIFICATION": ["radio", "checkbox"], "TRANSCRIPTION": ["textField", "number"]}.get(task, ["radio"])
        jobs[one] = job(
            task,
            categories=None if task == "TRANSCRIPTION" else {category: [] for category in categories},
            required=rng.randint(0, 1),
            tools=rng.sample(SHAPES, rng.randint(1, 2)) if task == DRAWN else None,
            field=rng.choice(field),
        )
        if "pose" in jobs[one].get("tools", ()):
            for category in jobs[one]["content"]["categories"].values():
                category["points"] = copy.deepcopy(POINTS)
        if parents and rng.random() < 0.5:
            parent, category = rng.choice(parents)
            jobs[parent]["content"]["categories"][category]["children"].append(one)
        elif task in RELATIONS and rng.random() < 0.5:
            relation = job(RELATIONS[task], categories={name(rng): []})
            (ends,) = relation["content"]["categories"].values()
            side = "Objects" if task == DRAWN else "Entities"
            ends |= {f"start{side}": list(categories), f"end{side}": list(categories), "of": one}
            jobs[f"{one}_REL"] = relation
        if categories and task != "TRANSCRIPTION":
            parents += [(one, category) for category in categories]
    children = below(jobs)
    for one, each in jobs.items():
        each["isChild"] = one in children
    return {"jobs": jobs}


def below(jobs):
    """Return the jobs that hang on categories of others."""
    categories = [category for each in jobs.values() for category in each["content"].get("categories", {}).values()]
    return {child for category in categories for child in category["children"]}


def answer_to(interface, rng):
    """Make an answer that an interface allows, as people give it: with all that is required."""
    jobs, mids = interface["jobs"], iter(range(1000))
    children = below(jobs)

    def said(one):
        each = jobs[one]
        if not each["required"] and rng.random() < 0.4:
            return None
        field, classes = each["content"]["input"], each["content"].get("categories", {})
        if each["mlTask"] == "TRANSCRIPTION":
            return {"text": str(rng.randint(0, 99)) if field == "number" else rng.choice(["", "é"])}
        if each["mlTask"] == "CLASSIFICATION":
            chosen = rng.sample(list(classes), rng.randint(1, len(classes) if field == "checkbox" else 1))
            return {"categories": [{"name": one, "confidence": 100, **hanging(classes[one])} for one in chosen]}
        return {"annotations": [marked(each, classes) for _ in range(rng.randint(1, 2))]}

    def hanging(category):
        return {"children": {child: body for child in category["children"] if (body := said(child)) is not None}}

    def marked(each, classes):
        category = rng.choice(list(classes))
        item = {"mid": f"m{next(mids)}", "categories": [{"name": category}], **hanging(classes[category])}
        if each["mlTask"] == DRAWN:
            return item | drawn(rng.choice(each["tools"]), rng)
        begin = rng.randint(0, 9)
        return item | {"beginOffset": begin, "endOffset": begin + rng.randint(0, 9), "content": "x"}

    asked = [one for one, each in jobs.items() if one not in children and each["mlTask"] not in RELATIONS.values()]
    answer = {one: body for one in asked if (body := said(one)) is not None}
    return answer | dict(related(jobs, answer, rng))


def related(jobs, answer, rng):
    """Yield relations between annotations of an answer."""
    for one, each in jobs.items():
        if each["mlTask"] in RELATIONS.values():
            ((category, ends),) = each["content"]["categories"].items()
            side = "Objects" if each["mlTask"] == "OBJECT_RELATION" else "Entities"
            if items := answer.get(ends["of"], {}).get("annotations"):
                mids = {f"{end}{side}": [{"mid": rng.choice(items)["mid"]}] for end in ("start", "end")}
                yield one, {"annotations": [{"mid": one, "categories": [{"name": category}], **mids}]}


def drawn(tool, rng):
    """Draw a shape of a tool."""

    def vertices(count):
        return [{"x": rng.random(), "y": rng.random()} for _ in range(count)]

    if tool == "pose":
        point = {"type": "marker", "children": {}}
        return {"type": tool, "points": [{**point, **each, "point": vertices(1)[0]} for each in POINTS]}
    if tool == "marker":
        return {"type": tool, "point": vertices(1)[0]}
    if tool in {"polyline", "vector"}:
        return {"type": tool, "polyline": vertices(rng.randint(2, 4))}
    if tool == "rectangle":
        (left, right), (top, bottom) = (sorted([rng.random(), rng.random()]) for _ in "xy")
        corners = [(left, bottom), (left, top), (right, top), (right, bottom)]
        return {"type": tool, "boundingPoly": [{"normalizedVertices": [{"x": x, "y": y} for x, y in corners]}]}
    return {"type": tool, "boundingPoly": [{"normalizedVertices": vertices(rng.randint(3, 5))}]}


def changes(interface, answer):
    """Yield what an interface does not allow: a word for it, the job concerned, and the answer with that one change."""
    jobs = interface["jobs"]
    for path, value in places(answer):
        one = next((key for key in reversed(path) if key in jobs), None)
        what, fits, changed = CHANGES.get(path[-1], ("", None, None))
        if fits and fits(jobs[one], path):
            yield what, one, with_value(answer, path, changed(jobs[one], value))
        if path[-1] == "categories" and "annotations" not in path[-3:]:
            several = jobs[one]["content"]["input"] == "checkbox"
            what = "the same class twice" if several else "two classes"
            yield what, one, with_value(answer, path, [*value, value[0]])
        if path[-1] in jobs:
            yield "letter of a job", path[-1] + "x", with_value(answer, path, value, key=path[-1] + "x")
            if jobs[path[-1]]["required"]:
                yield "missing required job", path[-1], with_value(answer, path)


def always(_job, _path):
    return True


CHANGES = {  # by key: what is changed, whether it is there, and what it becomes
    "name": ("letter of a category", lambda _, path: "points" not in path, lambda _, value: value + "x"),
    "type": ("wrong tool", lambda _, path: "points" not in path, lambda job, _: other_tool(job)),
    "x": ("coordinate", always, lambda *_: 1.2),
    "y": ("coordinate", always, lambda *_: 1.2),
    "normalizedVertices": (
        "too few corners",
        lambda job, _: "semantic" not in job["tools"],
        lambda _, value: value[:2],
    ),
    "confidence": ("confidence", always, lambda *_: 900),
    "endOffset": ("end before its beginning", always, lambda *_: -1),
    "mid": (
        "relation to nothing",
        lambda _, path: bool({"startObjects", "startEntities"} & {*path}),
        lambda *_: "x",
    ),
    "text": ("no number", lambda job, _: job["content"]["input"] == "number", lambda *_: "fast"),
    "code": ("letter of a point", always, lambda _, value: value + "x"),
}


def other_tool(job):
    """Return a tool that a job does not have; the points of a pose are markers."""
    return next(tool for tool in SHAPES if tool not in {*job["tools"], "marker", "pose"})


def places(value, path=()):
    """Yield all places of an answer, each with its value."""
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield (*path, key), value[key]
        yield from places(value[key], (*path, key))


def with_value(answer, path, *value, key=None):
    """Return a copy of an answer with another value in one place, or under another key; without one, none."""
    changed = copy.deepcopy(answer)
    holder = changed
    for step in path[:-1]:
        holder = holder[step]
    if key is not None or not value:
        del holder[path[-1]]
    if value:
        holder[path[-1] if key is None else key] = value[0]
    return changed
