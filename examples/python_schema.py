"""Prints the OpenAPI document of run.py as `cog build` would put it into the image.

The published package has no generator any more (the cog command line does it); this one knows as
much of Python's types as run.py uses.
"""

import ast
import json
import pathlib
import sys

TYPES = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}
LIMITS = {"ge": "minimum", "le": "maximum", "min_length": "minLength", "max_length": "maxLength", "regex": "pattern",
          "description": "description", "default": "default"}


def input_schema(function):
    arguments = function.args.args[1:]  # Without self.
    properties, required = {}, []
    for order, (argument, default) in enumerate(zip(arguments, function.args.defaults, strict=True)):
        given = {k.arg: ast.literal_eval(k.value) for k in default.keywords}
        schema = {"type": TYPES[argument.annotation.id], "title": argument.arg.replace("_", " ").title(), "x-order": order}
        schema.update({LIMITS[name]: value for name, value in given.items()})
        properties[argument.arg] = dict(sorted(schema.items()))
        if "default" not in given:
            required.append(argument.arg)
    return {"title": "Input", "type": "object", "required": required, "properties": properties}


def document(source):
    runner = next(node for node in ast.parse(source).body if isinstance(node, ast.ClassDef))
    run = next(node for node in runner.body if isinstance(node, ast.FunctionDef) and node.name == "run")

    def ref(name):
        return {"$ref": f"#/components/schemas/{name}"}

    def text(title, **more):
        return {"title": title, "type": "string", **more}

    def body(name):
        return {"content": {"application/json": {"schema": ref(name)}}}

    time = {"format": "date-time"}
    schemas = {
        "Input": input_schema(run),
        "Output": {"title": "Output", "type": TYPES[run.returns.id]},
        "PredictionRequest": {"title": "PredictionRequest", "type": "object",
                              "properties": {"id": text("Id"), "input": ref("Input")}},
        "PredictionResponse": {"title": "PredictionResponse", "type": "object", "properties": {
            "input": ref("Input"), "output": ref("Output"), "id": text("Id"), "version": text("Version"),
            "created_at": text("Created At", **time), "started_at": text("Started At", **time),
            "completed_at": text("Completed At", **time), "status": text("Status"), "error": text("Error"),
            "logs": text("Logs"), "metrics": {"title": "Metrics", "type": "object"}}},
        "Status": {"title": "Status", "description": "An enumeration.",
                   "enum": ["starting", "processing", "succeeded", "canceled", "failed"], "type": "string"},
        "HTTPValidationError": {"title": "HTTPValidationError", "type": "object", "properties": {
            "detail": {"title": "Detail", "type": "array", "items": ref("ValidationError")}}},
        "ValidationError": {"title": "ValidationError", "type": "object", "required": ["loc", "msg", "type"], "properties": {
            "loc": {"title": "Location", "type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "integer"}]}},
            "msg": text("Message"), "type": text("Error Type")}},
    }
    predict = {"summary": "Predict", "description": "Run a single prediction on the model",
               "operationId": "predict_predictions_post", "requestBody": body("PredictionRequest"),
               "responses": {"200": {"description": "Successful Response", **body("PredictionResponse")},
                             "422": {"description": "Validation Error", **body("HTTPValidationError")}}}
    return {"openapi": "3.0.2", "info": {"title": "Cog", "version": "0.23.1"},
            "paths": {"/predictions": {"post": predict}}, "components": {"schemas": schemas}}


if __name__ == "__main__":
    path = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).with_name("run.py")
    print(json.dumps(document(path.read_text())))
