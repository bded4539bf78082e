"""The OpenAPI document of a model's source, as `cog build` would put it into the image and its labels.

The published package has no generator (the cog command line does it); this one reads the source, like that one,
and knows as much of Python's types as the examples use.
"""

import ast
import json
import pathlib
import sys

TYPES = {"str": {"type": "string"}, "int": {"type": "integer"}, "float": {"type": "number"}, "bool": {"type": "boolean"},
         "Path": {"type": "string", "format": "uri"}, "File": {"type": "string", "format": "uri"}}
LISTS = {"list": {}, "List": {}, "Iterator": {"x-cog-array-type": "iterator"},
         "ConcatenateIterator": {"x-cog-array-type": "iterator", "x-cog-array-display": "concatenate"}}
LIMITS = {"ge": "minimum", "le": "maximum", "min_length": "minLength", "max_length": "maxLength", "regex": "pattern",
          "description": "description", "default": "default", "accept": "x-cog-accept"}


class UnknownType(Exception):
    """Of an annotation that is not in the tables above."""


def type_schema(annotation):
    if isinstance(annotation, ast.Name) and annotation.id in TYPES:
        return TYPES[annotation.id]
    if isinstance(annotation, ast.Subscript) and isinstance(annotation.value, ast.Name) and annotation.value.id in LISTS:
        return {"type": "array", "items": type_schema(annotation.slice), **LISTS[annotation.value.id]}
    raise UnknownType(f"the type '{ast.unparse(annotation)}' is not known here: build with the cog command line")


def input_schema(function, title="Input"):
    arguments = [argument for argument in function.args.args if argument.arg != "self"]
    properties, required = {}, []
    for order, (argument, default) in enumerate(zip(arguments, function.args.defaults, strict=True)):
        given = {k.arg: ast.literal_eval(k.value) for k in default.keywords}
        schema = {**type_schema(argument.annotation), "title": argument.arg.replace("_", " ").title(), "x-order": order}
        schema.update({LIMITS[name]: value for name, value in given.items()})
        properties[argument.arg] = dict(sorted(schema.items()))
        if "default" not in given:
            required.append(argument.arg)
    return {"title": title, "type": "object", "required": required, "properties": properties}


def ref(name):
    return {"$ref": f"#/components/schemas/{name}"}


def text(title, **more):
    return {"title": title, "type": "string", **more}


def exchange_schemas(function, kind, prefix):
    """Of one function: what goes in, what comes out, and the request and response around them."""
    time = {"format": "date-time"}
    return {
        f"{prefix}Input": input_schema(function, f"{prefix}Input"),
        f"{prefix}Output": {"title": "Output", **type_schema(function.returns)},
        f"{kind}Request": {"title": f"{kind}Request", "type": "object",
                           "properties": {"id": text("Id"), "input": ref(f"{prefix}Input")}},
        f"{kind}Response": {"title": f"{kind}Response", "type": "object", "properties": {
            "input": ref(f"{prefix}Input"), "output": ref(f"{prefix}Output"), "id": text("Id"), "version": text("Version"),
            "created_at": text("Created At", **time), "started_at": text("Started At", **time),
            "completed_at": text("Completed At", **time), "status": text("Status"), "error": text("Error"),
            "logs": text("Logs"), "metrics": {"title": "Metrics", "type": "object"}}},
    }


def schemas_of(run, train):
    return {
        **exchange_schemas(run, "Prediction", ""),
        **(exchange_schemas(train, "Training", "Training") if train else {}),
        "Status": {"title": "Status", "description": "An enumeration.",
                   "enum": ["starting", "processing", "succeeded", "canceled", "failed"], "type": "string"},
        "HTTPValidationError": {"title": "HTTPValidationError", "type": "object", "properties": {
            "detail": {"title": "Detail", "type": "array", "items": ref("ValidationError")}}},
        "ValidationError": {"title": "ValidationError", "type": "object", "required": ["loc", "msg", "type"], "properties": {
            "loc": {"title": "Location", "type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "integer"}]}},
            "msg": text("Message"), "type": text("Error Type")}},
    }


def operation(summary, description, name, kind):
    def body(schema):
        return {"content": {"application/json": {"schema": ref(schema)}}}
    return {"summary": summary, "description": description, "operationId": name, "requestBody": body(f"{kind}Request"),
            "responses": {"200": {"description": "Successful Response", **body(f"{kind}Response")},
                          "422": {"description": "Validation Error", **body("HTTPValidationError")}}}


def document(source, cog_version, train_source=None):
    """Of the first class in `source` (text) that has a method named run, or predict as it was before 0.20, and of
    the function train in `train_source`."""
    methods = [node for model in ast.parse(source).body if isinstance(model, ast.ClassDef)
               for node in model.body if isinstance(node, ast.FunctionDef)]
    run = next(node for node in methods if node.name in ("run", "predict"))
    train = next((node for node in ast.parse(train_source or "").body
                  if isinstance(node, ast.FunctionDef) and node.name == "train"), None)
    predict = operation("Predict", "Run a single prediction on the model", "predict_predictions_post", "Prediction")
    if "streaming" in [ast.unparse(decorator).removeprefix("cog.") for decorator in run.decorator_list]:
        predict["x-cog-streaming"] = True
    paths = {"/predictions": {"post": predict}}
    if train:
        paths["/trainings"] = {"post": operation("Train", "Run a single training on the model", "train_trainings_post",
                                                 "Training")}
    return {"openapi": "3.0.2", "info": {"title": "Cog", "version": cog_version},
            "paths": paths, "components": {"schemas": schemas_of(run, train)}}


if __name__ == "__main__":
    print(json.dumps(document(pathlib.Path(sys.argv[1]).read_text(), sys.argv[2])))
